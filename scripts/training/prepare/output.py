"""Writing packs: every file first beside its place, then all of them moved there, so that no half pack is left."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError

ZIP_DATE = (2020, 1, 1, 0, 0, 0)
"""The same release gives the same bytes."""


class Output:
    """Files that appear together at the end, or not at all.

    with Output(folder) as output:
        output.partial("a.zip")   # a path to write to
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._partial: dict[Path, Path] = {}
        self._obsolete: list[Path] = []

    def partial(self, name: str) -> Path:
        """Return where to write what will be `name`."""
        final = self.folder / name
        self._partial[final] = final.with_name(f".{name}.partial")
        return self._partial[final]

    @property
    def names(self) -> list[str]:
        """The files that are, or will be, written."""
        return [path.name for path in self._partial]

    def remove(self, name: str) -> None:
        """Have an older file of that name removed at the end, if there is one."""
        self._obsolete.append(self.folder / name)

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"{self.folder} cannot be made: {error.strerror}. Name another with --out") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if kind is None:
                for final, partial in self._partial.items():
                    partial.replace(final)
                for path in self._obsolete:
                    path.unlink(missing_ok=True)
        except OSError as failed:
            raise TrainingError(f"{failed.filename} cannot be written: {failed.strerror}") from failed
        finally:
            for partial in self._partial.values():
                partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise TrainingError(f"{self.folder}: {error.strerror or error}. Name another folder with --out") from error


class SpeechWriter:
    """Fills a zip of sounds, stored as they are, and the csv of the same name."""

    def __init__(self, output: Output, name: str, columns: Sequence[str]) -> None:
        self._zip = zipfile.ZipFile(output.partial(f"{name}.zip"), "w")
        self._table = output.partial(f"{name}.csv")
        self._columns = columns
        self.rows: list[Mapping[str, str]] = []

    def add(self, file: str, sound: bytes, row: Mapping[str, str]) -> None:
        """Put in one clip."""
        self._zip.writestr(zipfile.ZipInfo(file, ZIP_DATE), sound)
        self.rows.append(row)

    def close(self) -> None:
        """Write the csv and end the zip; rows in the order in which they came."""
        self._zip.close()
        self._table.write_bytes(csv_bytes(self._columns, self.rows))


@contextlib.contextmanager
def speech_writer(output: Output, name: str, columns: Sequence[str]) -> Iterator[SpeechWriter]:
    """Return a writer that is closed at the end of the block."""
    writer = SpeechWriter(output, name, columns)
    with contextlib.closing(writer):
        yield writer


def csv_bytes(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> bytes:
    """Return a csv table with a heading; a value that a row lacks is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def write_npz(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write a compressed npz; unlike numpy, to exactly this name."""
    with path.open("wb") as stream:
        np.savez_compressed(stream, **dict(arrays))  # type: ignore[arg-type]  # its stub takes the keys for `allow_pickle`


def write_gzip(path: Path, content: bytes) -> None:
    """Write a gzip file without name and date."""
    path.write_bytes(gzip.compress(content, mtime=0))
