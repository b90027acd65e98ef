"""Which packs the cascade is measured on: named, or found in a data folder by the format of docs/data.md."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from training.errors import TrainingError
from training.faces import PACKS

UNSEEN = ("test", "private", "heldout", "held_out")
"""In the name of a pack or split: prefer it, it is what nothing was fitted on."""


@dataclass(frozen=True)
class Source:
    """A pack and which of its rows; None: all."""

    pack: Path
    split: str | None = None

    def __str__(self) -> str:
        return str(self.pack) + (f", split {self.split}" if self.split else "")


def find_faces(data: Path, named: Path | None, split: str | None) -> Source | None:
    """Return the pack of faces in `data`/face, or in `data` itself; None if there is none but for training.

    Raises TrainingError if several are equally likely to be meant.
    """
    if named is not None:
        return Source(_there(named), split)
    packs = [pack for pack in _files(data, "face", ".npz") if pack.name != PACKS["train"]]
    found = _choose(packs, "--face")
    return None if found is None else Source(found, split)


def find_speech(data: Path, named: Path | None, split: str | None) -> Source | None:
    """Return the pack of speech in `data`/speech, or in `data` itself, that has rows which are not for training.

    Of a table with a column `split`, rows for training are never measured: those of a test split are, else of `val`.
    """
    if named is not None:
        return Source(_there(named), split or _split(named))
    packs = {}
    for pack in _files(data, "speech", ".zip"):
        wanted = split or _split(pack)
        if wanted != "train":
            packs[pack] = wanted
    found = _choose(list(packs), "--speech")
    return None if found is None else Source(found, packs[found])


def _there(pack: Path) -> Path:
    if not pack.exists():
        raise TrainingError(f"there is no pack {pack}")
    return pack


def _files(data: Path, kind: str, ending: str) -> list[Path]:
    folder = data / kind if (data / kind).is_dir() else data
    packs = sorted(folder.glob(f"*{ending}"))
    return [pack for pack in packs if ending != ".zip" or pack.with_suffix(".csv").exists()]


def _choose(packs: list[Path], option: str) -> Path | None:
    preferred = [pack for pack in packs if any(word in pack.stem.lower() for word in UNSEEN)]
    packs = preferred or packs
    if len(packs) > 1:
        names = ", ".join(str(pack) for pack in packs)
        raise TrainingError(f"which of these packs is meant? Name one with {option}: {names}")
    return packs[0] if packs else None


def _split(pack: Path) -> str | None:
    """Return the split of a pack of speech to measure: a test split, else `val`, else whichever is not `train`."""
    table = pack.with_suffix(".csv")
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{table}, the table of the pack, cannot be read: {error}") from error
    splits = {row.get("split") or "" for row in rows}
    for wanted in (*UNSEEN, "val"):
        if wanted in splits:
            return wanted
    rest = splits - {"train", ""}
    if len(rest) > 1:
        raise TrainingError(f"{table} has the splits {', '.join(sorted(rest))}: name one with --speech-split")
    if rest:
        return rest.pop()
    return "train" if splits == {"train"} else None
