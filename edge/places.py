"""Where keys stand in a TOML text, which tomllib does not tell, and what can be read of a text that is broken. Pure."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from edge.redact import redacted_line

_HEADER = re.compile(r"\s*\[\s*([\w.-]+)\s*\]\s*(#.*)?$")
_PART = r"(?:[\w-]+|\"[^\"]*\"|'[^']*')"
_KEY = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

UNCLEAR = object()
"""Stands for a value that a broken text does not tell, or tells twice and differently: it equals no other."""


class Places:
    """The line numbers, from 1, of the sections and keys of `text`."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[str, str], int] = {}
        self._readable: dict[str, dict[str, Any]] = {}
        section, quotes = "", ""
        for number, line in enumerate(text.splitlines(), start=1):
            if quotes:  # inside a string of several lines
                quotes = "" if quotes in line else quotes
                continue
            header = _HEADER.match(line)
            if header:
                section = header.group(1)
                self._lines.setdefault((section, ""), number)
                continue
            quotes = next((each for each in ('"""', "'''") if line.count(each) % 2), "")
            self._note(section, line, number)

    def line(self, section: str, key: str = "") -> int | None:
        """Return the line of a key, else that of its section, else None."""
        return self._lines.get((section, key), self._lines.get((section, "")))

    def readable(self) -> dict[str, dict[str, Any]]:
        """Return the values (section -> key -> value) of all lines that can be read by themselves.

        For a text that as a whole cannot. A line that cannot be read either is UNCLEAR, under its key, else under "".
        """
        return self._readable

    def _note(self, section: str, line: str, number: int) -> None:
        found = _KEY.match(line)
        if not found:
            if line.strip() and not line.lstrip().startswith("#"):
                self._remember(section, {"": UNCLEAR})
            return
        parts = [part.strip("\"'") for part in re.findall(_PART, found.group(1))]
        path = [section, *parts] if section else parts
        self._lines.setdefault((path[0], ""), number)
        self._lines.setdefault((path[0], ".".join(path[1:])), number)
        try:
            values = tomllib.loads(line)
        except tomllib.TOMLDecodeError:
            self._remember(path[0], {".".join(path[1:]): UNCLEAR})
            return
        for name, table in ({section: values} if section else values).items():
            self._remember(name, table if isinstance(table, dict) else {"": UNCLEAR})

    def _remember(self, section: str, values: dict[str, Any]) -> None:
        known = self._readable.setdefault(section, {})
        for key, value in values.items():
            known[key] = value if known.get(key, value) == value else UNCLEAR


def syntax_error(text: str, error: tomllib.TOMLDecodeError) -> tuple[int, str]:
    """Return the line of a syntax error and a few lines of words: what is wrong, the line, a caret under the place."""
    found = _POSITION.search(str(error))
    lines = text.splitlines() or [""]
    number = int(found.group(1)) if found and found.group(1) else len(lines)
    line = lines[number - 1] if number <= len(lines) else ""
    column = int(found.group(2)) if found and found.group(2) else len(line) + 1
    what = _POSITION.sub("", str(error))
    # Tabs stay tabs under tabs, so that the caret stands right whatever their width.
    before = "".join("\t" if each == "\t" else " " for each in line[: column - 1])
    return number, f"{what}\n    {redacted_line(line)}\n    {before}^"
