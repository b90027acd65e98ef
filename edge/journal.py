"""Where log lines go: into the journal with fields to search by where systemd runs us, else to standard error.

    journalctl -u mien-edge MIEN_SOURCE=camera
    journalctl -u mien-edge -o json MIEN_CODE=config

`MIEN_CODE` is the code of an error (docs/errors.md) or of a turn in the daemon's life, `MIEN_SOURCE` the camera or the
microphone, `MIEN_READING` the id of a reading. In code: `log.warning(..., extra={"MIEN_SOURCE": name})`.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Mapping

from edge.errors import MienError

log = logging.getLogger(__name__)

IDENTIFIER = "mien-edge"


def start_logging(level: int) -> None:
    """Send what is logged from `level` on to the journal or to standard error."""
    try:
        handler = _journal_handler() if is_journal(sys.stderr.fileno()) else None
    except io.UnsupportedOperation:  # standard error is no file where a program calls `main` itself
        handler = None
    if handler is not None:
        logging.basicConfig(level=level, handlers=[handler], format="%(name)s: %(message)s")
    else:
        logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def report(error: MienError) -> None:
    """Say what ended the program: one line, with the error's code where it can be searched for."""
    if any(type(handler).__name__ == "JournalHandler" for handler in logging.getLogger().handlers):
        log.critical("%s", error, extra={"MIEN_CODE": error.code})
    else:
        print(f"mien-edge: {error}", file=sys.stderr)


def is_journal(descriptor: int, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a file descriptor goes to the journal: systemd names its device and inode (systemd.exec(5))."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM", "") == f"{status.st_dev}:{status.st_ino}"


def _journal_handler() -> logging.Handler | None:
    try:
        from systemd.journal import JournalHandler
    except ImportError:  # standard error ends in the journal, too: only the fields are missing
        return None
    handler: logging.Handler = JournalHandler(SYSLOG_IDENTIFIER=IDENTIFIER)
    return handler
