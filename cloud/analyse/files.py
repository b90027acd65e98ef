"""Uploaded files on disk: nameless while they are analysed, named only where the user wants them kept."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO, cast


class Files:
    """The two folders below the service's data folder."""

    def __init__(self, data: Path) -> None:
        self._passing, self._kept = data / "uploads", data / "kept"
        for folder in (self._passing, self._kept):
            folder.mkdir(mode=0o700, exist_ok=True)
        # Nothing has a name here for longer than a moment; a crash may have come in that moment.
        for left in self._passing.iterdir():
            left.unlink(missing_ok=True)

    def new(self) -> BinaryIO:
        """Return an empty file without a name: it is gone with the last who has it open, a crash included."""
        return cast(BinaryIO, tempfile.TemporaryFile(dir=self._passing))

    def keep(self, identifier: str, files: list[BinaryIO]) -> None:
        """Copy the files of an analysis to where they stay until it expires or is deleted."""
        for number, file in enumerate(files):
            file.seek(0)
            with self.kept(identifier, number).open("xb") as out:
                shutil.copyfileobj(file, out)

    def kept(self, identifier: str, number: int) -> Path:
        """Return where a kept file is, or would be."""
        return self._kept / f"{identifier}-{number}"

    def forget(self, identifier: str) -> None:
        """Delete the kept files of an analysis."""
        for path in self._kept.glob(f"{identifier}-*"):
            path.unlink(missing_ok=True)

    def forget_all_but(self, identifiers: set[str]) -> None:
        """Delete the kept files of analyses that no longer are."""
        for path in self._kept.iterdir():
            if path.name.rpartition("-")[0] not in identifiers:
                path.unlink(missing_ok=True)
