"""Where files lie that do not come with the package, such as YuNet's weights."""

from __future__ import annotations

import os
from pathlib import Path

YUNET_FILE = "face_detection_yunet_2023mar.onnx"


def data_folder() -> Path:
    """Return where fetched files are kept: $XDG_DATA_HOME/mien, /var/lib/mien for root's daemon."""
    system = Path("/var/lib/mien")
    if os.access(system, os.W_OK):
        return system
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "mien"


def yunet_weights(named: str | None) -> Path | None:
    """Return the path of YuNet's weights if they are named or were fetched, else None: then Haar finds the faces."""
    if named:
        return Path(named)
    fetched = data_folder() / YUNET_FILE
    return fetched if fetched.exists() else None
