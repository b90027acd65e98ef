"""What a speech model would say of its training speakers, had it never heard them.

Fitted on two speakers, calibration, fusion and gates are as sure as these two allow. Four nets that each left out one
fold of the training speakers answer for that fold in the model's place, so that all three rest on sixteen speakers
more: cross-fitting, as in stacked generalisation (Wolpert 1992). They heard fewer speakers than what ships: what is
fitted so is careful.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.perception.manifest import Output
from training.models import BATCH, OnnxNet, Recognise
from training.splits import FOLDS, fold_speakers

FOLDER = Path(__file__).parent / "strangers"
"""The nets of each fold, and beside them whom they stand in for. `scripts/train export` writes them."""


class Strangers:
    """The training speakers, each to be judged by nets that never heard them; the mean of their logits."""

    def __init__(self, nets: Sequence[Sequence[OnnxNet]]) -> None:
        """The first of `nets` left out fold 1, the next fold 2 and so on; as many each."""
        self._nets = nets
        self._judges = {speaker: some for fold, some in enumerate(nets, start=1) for speaker in fold_speakers(fold)}

    @property
    def speakers(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self._judges)

    def singly(self) -> list[Strangers]:
        """Return the same, judged by one of the nets of each fold: by the first of each, by the second and so on."""
        return [Strangers([[net] for net in some]) for some in zip(*self._nets, strict=True)]

    def logits(self, inputs: NDArray[np.float32], speakers: Sequence[str]) -> NDArray[np.float32]:
        """Return the logits (N, logits) for inputs (N, 186, 64) of N speakers."""
        rows = np.array(speakers)
        answers: dict[int, NDArray[np.float32]] = {}
        for speaker in sorted(set(speakers)):
            places = np.flatnonzero(rows == speaker)
            for start in range(0, len(places), BATCH):
                some = places[start : start + BATCH]
                said = np.mean([net(inputs[some]) for net in self._judges[speaker]], axis=0)
                answers |= dict(zip(some.tolist(), said, strict=True))
        return np.stack([answers[place] for place in range(len(speakers))])

    def recognise(self, output: Output, speakers: Sequence[str]) -> Recognise:
        """Return what gives calibrated probabilities (N, labels) for inputs of these N speakers."""
        return partial(self._recognise, output, speakers)

    def _recognise(self, output: Output, speakers: Sequence[str], inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return output.calibrate(self.logits(inputs, speakers))


def net_files(model: Path, count: int) -> list[list[Path]]:
    """Return where so many nets for each fold are that stand in for a model file of this name, by fold."""
    return [
        [FOLDER / f"{model.stem}-fold{fold}-{number}.onnx" for number in range(count)] for fold in range(1, FOLDS + 1)
    ]


def stand_in(model: Path) -> None:
    """Note that the nets in `net_files` stand in for the file `model` as it is now, and for no other."""
    _note(model).write_text(f"{_digest(model)}\n")


def strangers_of(model: Path) -> Strangers | None:
    """Return who can be judged as a stranger in a model file's place; None if there are no nets for this very file.

    Raises TrainingError if a net cannot be read.
    """
    note = _note(model)
    if not note.exists() or note.read_text().strip() != _digest(model):
        return None
    count = len(list(FOLDER.glob(f"{model.stem}-fold1-*.onnx")))
    return Strangers([[OnnxNet(path) for path in some] for some in net_files(model, count)])


def _note(model: Path) -> Path:
    return FOLDER / f"{model.stem}.sha256"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
