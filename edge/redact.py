"""Settings made fit for screens, logs and tickets: without passwords, tokens and keys. Pure."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "***"

_SECRET_KEY = re.compile(r"(^|_)(password|passphrase|secret|token|key)$")
"""Keys that hold a secret themselves. `password_file` and `key_file` only say where one is."""

_USER_INFO = re.compile(r"(?<=://)[^/?#\s\"']*@")
_QUERY = re.compile(r"(?<=\?)[^#\s\"']+")


def redacted(key: str, value: Any) -> Any:
    """Return the value of the setting `key` with what is secret in it replaced by `***`; other values as they are."""
    if not isinstance(value, str) or not value:
        return value
    return HIDDEN if _SECRET_KEY.search(key) else redacted_url(value)


def redacted_url(text: str) -> str:
    """Return `text` with the user, the password and the query of each URL in it replaced by `***`."""
    if "://" not in text:
        return text
    return _QUERY.sub(HIDDEN, _USER_INFO.sub(f"{HIDDEN}@", text))


def redacted_line(line: str) -> str:
    """Return a line of TOML, right or wrong, with secrets replaced by as many stars, so that columns stay true."""
    if _SECRET_KEY.search(line.partition("=")[0].strip(" \"'")):
        key, sign, value = line.partition("=")
        return key + sign + re.sub(r"[^\s\"']", "*", value)
    line = _USER_INFO.sub(lambda found: "*" * (len(found.group()) - 1) + "@", line)
    return _QUERY.sub(lambda found: "*" * len(found.group()), line) if "://" in line else line
