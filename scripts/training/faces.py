"""Faces: FER2013 images with FER2013 labels and FER+ votes, from the packs that `scripts/train prepare` makes."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.emotions import EMOTIONS
from training.errors import TrainingError

SIZE = 48

VOTE_NAMES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
"""Columns of fer2013new.csv, in its order."""

VOTE_OF_EMOTION = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
}
VOTE_COLUMNS = tuple(VOTE_NAMES.index(VOTE_OF_EMOTION[emotion]) for emotion in EMOTIONS)

MIN_VOTES = 5
"""Half of FER+'s ten annotators: with fewer left for the seven emotions, the image is no example of any."""

PACKS = {"train": "fer2013_train.npz", "validation": "fer2013_public.npz"}


@dataclass(frozen=True)
class Faces:
    """N images with what annotators said. `majority` is -1 where the seven emotions have no FER+ majority."""

    images: NDArray[np.uint8]
    """(N, 48, 48) gray."""
    labels: NDArray[np.int64]
    """(N,) FER2013 label, index into EMOTIONS: the release's own order is the same."""
    votes: NDArray[np.float32]
    """(N, 7) share of FER+ votes per emotion; a row of zeros where too few are left."""
    majority: NDArray[np.int64]
    """(N,) FER+ majority, index into EMOTIONS, or -1."""
    groups: NDArray[np.int64]
    """(N,) pixel-identical images share a number, so that a split can keep them together."""
    leaked: NDArray[np.bool_]
    """(N,) True where the image or a near-duplicate also stands in the training set (False throughout if unknown)."""

    def __len__(self) -> int:
        return len(self.images)

    def take(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Faces:
        """Return the examples selected by a mask or by indices."""
        return Faces(
            images=self.images[which],
            labels=self.labels[which],
            votes=self.votes[which],
            majority=self.majority[which],
            groups=self.groups[which],
            leaked=self.leaked[which],
        )


def vote_targets(votes: NDArray[np.integer]) -> NDArray[np.float32]:
    """Turn FER+ vote counts (N, 10) into distributions over the seven emotions, shape (N, 7).

    Single votes are dropped as outliers, as in FER+ (Barsoum et al. 2016, arXiv:1608.01041), then contempt, unknown and
    "not a face"; a row with fewer than MIN_VOTES left becomes zeros, which weigh nothing in the loss.
    """
    kept = np.where(votes > 1, votes, 0)[:, VOTE_COLUMNS].astype(np.float32)
    total = kept.sum(axis=1, keepdims=True)
    return np.where(total >= MIN_VOTES, kept / np.maximum(total, 1), 0).astype(np.float32)


def vote_majority(votes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the emotion with over half of all votes but single ones, shape (N,); -1 where there is none."""
    emotion_of_column = np.full(len(VOTE_NAMES) + 1, -1, dtype=np.int64)
    emotion_of_column[list(VOTE_COLUMNS)] = np.arange(len(EMOTIONS))
    return np.asarray(emotion_of_column[vote_winner(votes)])


def vote_winner(votes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the column with over half of all votes (N, 10) but single ones, shape (N,); -1 where there is none."""
    kept = np.where(votes > 1, votes, 0)
    clear = kept.max(axis=1) * 2 > kept.sum(axis=1)
    return np.where(clear, kept.argmax(axis=1), -1)


def load_faces(data: Path, split: str) -> Faces:
    """Read the pack of `split` (train or validation) from `data`/face; rows without one of the seven labels are no use.

    Raises TrainingError if it is not there or lacks something, and says how to make it.
    """
    pack = data / "face" / PACKS[split]
    if not pack.exists():
        raise TrainingError(
            f"no face data: {pack} is missing. Make the pack with: scripts/train prepare fer2013 FOLDER --out {data}, "
            "or name another folder with --data"
        )
    try:
        return _from_pack(pack)
    except (OSError, ValueError, TypeError, EOFError, LookupError, zipfile.BadZipFile, zlib.error) as error:
        raise TrainingError(f"{pack} is no pack of FER2013 that can be read: {error}") from error


def _from_pack(path: Path) -> Faces:
    with np.load(path) as pack:
        count = len(pack["images"])
        leaked = np.zeros(count, dtype=bool)
        if "leak_in_train" in pack:
            leaked = pack["leak_in_train"] | pack["near_dup_in_train"]
        faces = Faces(
            images=pack["images"],
            labels=pack["labels"].astype(np.int64),
            votes=vote_targets(pack["ferplus_votes"]),
            majority=vote_majority(pack["ferplus_votes"]),
            groups=own_group(pack["dup_group"].astype(np.int64)),
            leaked=leaked,
        )
    labelled = (faces.labels >= 0) & (faces.labels < len(EMOTIONS))
    return faces if labelled.all() else faces.take(labelled)


def own_group(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give each image without duplicates, marked -1 in the packs, a group of its own."""
    return np.where(groups < 0, groups.max(initial=0) + 1 + np.arange(len(groups)), groups)
