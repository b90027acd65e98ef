"""A release as it was downloaded: a folder or a zip, read member by member and never extracted."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Protocol

from training.errors import TrainingError

MAX_MEMBER_BYTES = 32 << 20
"""The longest official clip is under 3 MB, the largest picture under 1 MB."""
MAX_TABLE_BYTES = 1 << 30
"""fer2013.csv has 301 MB."""
MAX_MEMBERS = 1_000_000

LFS_POINTER = b"version https://git-lfs.github.com/spec/"


class Unreadable(Exception):
    """One member cannot be read; the message says why and fits after its name and a colon."""


class Source(Protocol):
    """Members by their path within the release, `/` between folders."""

    path: Path
    names: list[str]
    """All plain members but hidden ones, sorted."""
    troubles: list[tuple[str, str]]
    """What could not be listed: (name, what is wrong)."""

    def read(self, name: str, limit: int = MAX_MEMBER_BYTES) -> bytes:
        """Return the content of a member. Raises Unreadable, also if it has more than `limit` bytes."""

    def close(self) -> None:
        """Let go of the files."""


def open_source(path: Path) -> Source:
    """Return the release at `path`. Raises TrainingError if it is neither a folder nor a zip."""
    if path.is_dir():
        return FolderSource(path)
    if not path.exists():
        raise TrainingError(f"{path} does not exist. Name the folder, or the zip, of the release as downloaded")
    if not path.is_file():
        raise TrainingError(f"{path} is neither a folder nor a zip")
    try:
        return ZipSource(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise TrainingError(f"{path} is neither a folder nor a zip that can be read: {error}") from error


class FolderSource:
    """A folder. Links to folders are not followed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.troubles: list[tuple[str, str]] = []
        found = []
        for folder, folders, files in os.walk(path, onerror=self._not_listed):
            folders[:] = sorted(each for each in folders if not _hidden(each))
            found += [(Path(folder) / each).relative_to(path).as_posix() for each in files if not _hidden(each)]
        self.names = sorted(found)

    def read(self, name: str, limit: int = MAX_MEMBER_BYTES) -> bytes:
        """See `Source`."""
        path = self.path / name
        try:
            if not path.is_file():
                raise Unreadable("is a link to nothing" if path.is_symlink() else "is no plain file")
            with path.open("rb") as stream:
                return _checked(stream.read(limit + 1), limit)
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror}") from error

    def close(self) -> None:
        """Nothing is held open."""

    def _not_listed(self, error: OSError) -> None:
        name = Path(error.filename).relative_to(self.path).as_posix() if error.filename else "?"
        self.troubles.append((name, f"the folder cannot be listed: {error.strerror}"))


class ZipSource:
    """A zip archive. Members are read into memory, with a limit, wherever their names point."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.troubles: list[tuple[str, str]] = []
        self._zip = zipfile.ZipFile(path)
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist()[:MAX_MEMBERS]:
            name = info.filename
            if info.is_dir() or any(_hidden(part) for part in PurePosixPath(name).parts):
                continue
            if name in self._members:
                self.troubles.append((name, "stands twice in the zip; the first is taken"))
            self._members.setdefault(name, info)
        self.names = sorted(self._members)

    def read(self, name: str, limit: int = MAX_MEMBER_BYTES) -> bytes:
        """See `Source`."""
        try:
            with self._zip.open(self._members[name]) as stream:
                return _checked(stream.read(limit + 1), limit)
        except RuntimeError as error:  # zipfile's word for encrypted members
            raise Unreadable("is encrypted") from error
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, ValueError) as error:
            raise Unreadable(f"cannot be unpacked: {error}") from error

    def close(self) -> None:
        """Close the archive."""
        self._zip.close()


def stem(name: str) -> str:
    """Return the last part of a member's path without its ending."""
    return PurePosixPath(name).stem


def with_ending(source: Source, *endings: str) -> list[str]:
    """Return the members whose names end so, whatever the case."""
    return [name for name in source.names if PurePosixPath(name).suffix.lower() in endings]


def find_table(source: Source, *names: str) -> str | None:
    """Return the member that is called like one of `names`, in whatever folder, the first by name and depth."""
    for wanted in names:
        found = [name for name in source.names if PurePosixPath(name).name.lower() == wanted]
        if found:
            return min(found, key=lambda name: (name.count("/"), name))
    return None


def read_text(source: Source, name: str) -> io.StringIO:
    """Return a table's text. Raises Unreadable if it cannot be read or is no UTF-8."""
    try:
        return io.StringIO(source.read(name, MAX_TABLE_BYTES).decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        raise Unreadable(f"is no UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from error


def _checked(content: bytes, limit: int) -> bytes:
    if len(content) > limit:
        raise Unreadable(f"is larger than {limit >> 20} MiB: nothing in this release is")
    if not content:
        raise Unreadable("is empty")
    if content.startswith(LFS_POINTER):
        raise Unreadable("is a Git LFS pointer and not the file itself: run `git lfs pull` in the release")
    return content


def _hidden(name: str) -> bool:
    return (name.startswith(".") and name not in (".", "..")) or name == "__MACOSX"
