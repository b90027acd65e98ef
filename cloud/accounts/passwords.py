"""Passwords: what is accepted, and bcrypt."""

from __future__ import annotations

import functools

import bcrypt

from cloud.errors import AccountError

SHORTEST = 10
"""Characters. Length is the only rule: others make passwords worse (NIST SP 800-63B, section 5.1.1.2)."""

LONGEST_BYTES = 72
"""Of UTF-8: bcrypt looks at no more."""

ROUNDS = 12
"""bcrypt's cost: about a quarter of a second."""


def hash_password(password: str) -> str:
    """Return the bcrypt hash. Raises AccountError if the password is too short or too long."""
    if len(password) < SHORTEST:
        raise AccountError(f"the password has {len(password)} characters; {SHORTEST} at least, please")
    if len(password.encode()) > LONGEST_BYTES:
        raise AccountError(f"the password is longer than {LONGEST_BYTES} bytes")
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(ROUNDS)).decode()


def matches(password: str, hashed: str | None) -> bool:
    """Say whether a password has this hash; None, nobody of that name, takes as long and is False."""
    data = password.encode()[:LONGEST_BYTES]
    return bcrypt.checkpw(data, (hashed or _nobody()).encode()) and hashed is not None


@functools.cache
def _nobody() -> str:
    return bcrypt.hashpw(b"nobody at all", bcrypt.gensalt(ROUNDS)).decode()
