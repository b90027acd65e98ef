"""What a setting may be, in words, from its type: for error messages and docs/configuration.md. Pure."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec.inspect import BoolType, FloatType, IntType, LiteralType, Metadata, NoneType, StrType, Type, UnionType

PATTERNS = {
    "^[a-z0-9-]{1,36}$": "1 to 36 of a-z, 0-9 and -",
    "^([A-Z]{2}|EEA|unknown)$": "two capitals such as DE, or EEA, or unknown",
    "^(mqtts?://[^/ ]+)?$": "mqtt://host:port or mqtts://host:port, or empty",
}
"""Patterns of edge/settings.py in words; others are shown as they are."""


def expected(kind: Any) -> str:
    """Return what a value of the type `kind` may be, e.g. "a number above 0, at most 30"."""
    return _words(msgspec.inspect.type_info(kind))


def choices(kind: Any) -> list[str]:
    """Return the texts that a value of `kind` may be, if only certain ones; else nothing."""
    info = _plain(msgspec.inspect.type_info(kind))
    return [str(value) for value in info.values] if isinstance(info, LiteralType) else []


def _plain(info: Type) -> Type:
    return info.type if isinstance(info, Metadata) else info


def _words(info: Type) -> str:
    info = _plain(info)
    if isinstance(info, LiteralType):
        return "one of " + ", ".join(json.dumps(value) for value in info.values)
    if isinstance(info, (IntType, FloatType)):
        return ("a whole number" if isinstance(info, IntType) else "a number") + _bounds(info)
    if isinstance(info, StrType):
        return "text" if info.pattern is None else PATTERNS.get(info.pattern, f"text that matches {info.pattern}")
    if isinstance(info, BoolType):
        return "true or false"
    if isinstance(info, UnionType):
        return " or ".join(_words(each) for each in info.types if not isinstance(each, NoneType)) + ", or left out"
    return type(info).__name__.removesuffix("Type").lower()


def _bounds(info: IntType | FloatType) -> str:
    low = f"at least {info.ge:g}" if info.ge is not None else f"above {info.gt:g}" if info.gt is not None else ""
    high = f"at most {info.le:g}" if info.le is not None else f"below {info.lt:g}" if info.lt is not None else ""
    if info.ge is not None and info.le is not None:
        return f" from {info.ge:g} to {info.le:g}"
    words = ", ".join(each for each in (low, high) if each)
    return f" {words}" if words else ""
