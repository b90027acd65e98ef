"""Keeping native libraries off the user's terminal.

TFLite's delegate announces itself and PortAudio's back ends complain about each other, both straight to file
descriptor 2; neither has a setting for it, and what fails for real comes as an exception as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Send file descriptor 2 nowhere while inside. It is the whole process's: keep it to a library's start."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path of ours
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
