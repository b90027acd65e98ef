"""The service's log on standard error: lines for people, or JSON for programs that gather logs."""

from __future__ import annotations

import logging

import msgspec

PLAIN = "mien-cloud: %(levelname)s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """One JSON object a line: `at` (Unix seconds), `level`, `logger`, `message`, and `error` with a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        # A file name from outside may hold half a character, which is no UTF-8.
        said = {name: _whole(value) if isinstance(value, str) else value for name, value in line.items()}
        return msgspec.json.encode(said).decode()


def set_up(*, verbose: bool, as_json: bool) -> None:
    """Send what is logged to standard error; `verbose`: also what is no warning."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else logging.Formatter(PLAIN))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])


def _whole(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
