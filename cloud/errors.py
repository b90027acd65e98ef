"""Errors that only the cloud knows; they hang in the tree of `edge.errors`.

MienError
├── StoreError             the database cannot be opened or belongs to another version
├── TextError              a text cannot be judged: it is too long or holds no word
├── ServeError             the service cannot start as asked: a port is taken, a host is not allowed
├── HistoryError           a period or a resolution of history cannot be answered
├── AlertError             a rule or a channel of alerts is not acceptable
├── PrivacyError           a retention or an erasure is asked for that makes no sense
├── AccountError           an account, a role or a password is not acceptable
└── AnalysisError          a file or text cannot be analysed: damaged, too large, too long, or too many at once
"""

from __future__ import annotations

from edge.errors import MienError


class StoreError(MienError):
    """The database cannot be opened or belongs to another version."""

    code = "store"


class TextError(MienError):
    """A text cannot be judged: it is too long or holds no word."""

    code = "text"


class ServeError(MienError):
    """The service cannot start as asked: a port is taken, a host is not allowed."""

    code = "serve"


class AccountError(MienError):
    """An account, a role or a password is not acceptable."""

    code = "account"


class AnalysisError(MienError):
    """A file or text cannot be analysed: damaged, too large, too long, or too many at once."""

    code = "analysis"

    def __init__(self, what: str, *, fix: str = "", status: int = 422) -> None:
        super().__init__(what, fix=fix)
        self.status = status
        """The HTTP status that says it best."""


class PrivacyError(MienError):
    """A retention or an erasure is asked for that makes no sense."""

    code = "privacy"


class HistoryError(MienError):
    """A period or a resolution of history cannot be answered."""

    code = "history"


class AlertError(MienError):
    """A rule or a channel of alerts is not acceptable."""

    code = "alert"
