"""Errors that only the cloud knows; they hang in the tree of `edge.errors`.

MienError
├── StoreError             the database cannot be opened or belongs to another version
└── ServeError             the service cannot start as asked: a port is taken, a host is not allowed
"""

from __future__ import annotations

from edge.errors import MienError


class StoreError(MienError):
    """The database cannot be opened or belongs to another version."""

    code = "store"


class ServeError(MienError):
    """The service cannot start as asked: a port is taken, a host is not allowed."""

    code = "serve"
