"""Teaching the device's nets what the cloud's see, and in particular faces (Hinton et al. 2015, arXiv:1503.02531).

The teacher judges several changed copies of every training face once; the other net then learns from these copies for
many epochs. Asked anew for every batch, the teacher would cost more than the training itself. A net of the cloud's own
can learn so from the one that ships (born again: Furlanello et al. 2018, arXiv:1805.04770).
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from tqdm import tqdm

from edge.emotions import EMOTIONS
from training import augment
from training.errors import TrainingError
from training.face_task import FaceTask, face_inputs
from training.faces import Faces
from training.loop import load_finished
from training.members import run_folder, run_folders, trained_nets
from training.models import FOLDERS
from training.nets import CENTRE, Consensus, Ensemble
from training.shipped import shipped_nets

TEACHER = "full"
SEED = 0
"""Of the copies, which all runs share, so that the teacher judges them once."""

COPIES = 8
"""Changed copies of each face; three epochs see most of them."""

TEACHER_SHARE = 0.7
"""Of the target; the rest is what people said."""

BATCH = 256
HEADS = 2
"""Seven answers each."""


@dataclass(frozen=True)
class Lessons:
    """C copies of N faces with the teacher's answers."""

    images: NDArray[np.uint8]
    """(C, N, 48, 48)."""
    answers: NDArray[np.float16]
    """(C, N, 14) probabilities, seven for each head."""


@dataclass(frozen=True)
class Teachers:
    """Where the cloud's model is looked for that teaches."""

    runs: Path | None
    """As last trained there, if it was; None: what ships teaches."""
    shipped: Path = FOLDERS[TEACHER]
    """The folder of what ships."""


class DistilledFaceTask(FaceTask):
    """The face task on prepared copies, whose targets are mostly the teacher's answers."""

    def __init__(self, train: Faces, validation: Faces, lessons: Lessons) -> None:
        super().__init__(train, validation)
        self._copies = torch.from_numpy(lessons.images)
        self._answers = torch.from_numpy(lessons.answers)

    def batch(self, indices: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return one of the copies of each face, mirrored or not, (N, 1, 48, 48), and targets (N, 14)."""
        copy = torch.randint(len(self._copies), indices.shape, generator=generator)
        faces = augment.flip_some(self._copies[copy, indices].unsqueeze(1).float() / 255, generator)
        return faces, blend(self._answers[copy, indices].float(), self._targets[indices])


def blend(answers: Tensor, targets: Tensor, heads: int = HEADS) -> Tensor:
    """Mix the teacher's answers and people's, both (N, logits) of so many `heads`.

    Where people said nothing, only the teacher speaks. A row of `targets` sums, per head, to the weight of the example,
    which is kept.
    """
    mixed = []
    for taught, said in zip(answers.tensor_split(heads, dim=1), targets.tensor_split(heads, dim=1), strict=True):
        weight = said.sum(dim=1, keepdim=True)
        both = TEACHER_SHARE * weight * taught + (1 - TEACHER_SHARE) * said
        mixed.append(torch.where(weight > 0, both, taught))
    return torch.cat(mixed, dim=1)


def prepare_lessons(train: Faces, cache: Path, teachers: Teachers) -> Lessons:
    """Return the copies and answers, from the folder `cache` if they were made by the same teacher.

    Raises TrainingError as `teacher_nets` does.
    """
    nets, known_by = teacher_nets("face", teachers, face_inputs(train.images[:BATCH]))
    decides = (*known_by, COPIES, BATCH, SEED, len(train), inspect.getsource(augment))
    mark = hashlib.sha256(repr(decides).encode()).hexdigest()[:12]
    path = cache / f"lessons-{mark}.npz"
    if not path.exists():
        # No pixel off: that would take hours, and the copies are moved by more. But each net sees both sides.
        _save(_lessons(Ensemble([Consensus([net], CENTRE) for net in nets]).eval(), train), path)
    with np.load(path) as stored:
        return Lessons(stored["images"], stored["answers"])


def teacher_nets(
    task: str, teachers: Teachers, examples: NDArray[np.float32]
) -> tuple[Sequence[nn.Module], tuple[object, ...]]:
    """Return the nets of the cloud's model and what tells these apart from others.

    `examples`, (N, C, H, W), are training inputs. Raises TrainingError if a run is not done, or there is no model.
    """
    folders = [] if teachers.runs is None else run_folders(teachers.runs, task, TEACHER)
    if teachers.runs is not None and folders:
        states = [load_finished(folder) for folder in folders]
        nets = trained_nets(teachers.runs, task, TEACHER)
        return nets, tuple((state["config"], state["history"]) for state in states)
    shipped = teachers.shipped / f"{task}-{TEACHER}.onnx"
    if not shipped.exists():
        run = None if teachers.runs is None else run_folder(teachers.runs, task, TEACHER, 0)
        also = f", nor {run}, to be trained first" if run else ""
        raise TrainingError(f"no teacher: there is no {shipped}{also}")
    return shipped_nets(task, TEACHER, shipped, examples), (hashlib.sha256(shipped.read_bytes()).hexdigest(),)


def _lessons(teacher: nn.Module, train: Faces) -> Lessons:
    images = np.empty((COPIES, *train.images.shape), dtype=np.uint8)
    answers = np.empty((COPIES, len(train), 2 * len(EMOTIONS)), dtype=np.float16)
    generator = Generator().manual_seed(SEED)
    places = [(copy, start) for copy in range(COPIES) for start in range(0, len(train), BATCH)]
    for copy, start in tqdm(places, desc="the teacher's answers", unit="batch", mininterval=1.0):
        part = slice(start, start + BATCH)
        faces = torch.from_numpy(train.images[part]).unsqueeze(1).float() / 255
        changed = (augment.augment_faces(faces, generator) * 255).round()
        images[copy, part] = changed.squeeze(1).numpy().astype(np.uint8)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            logits = teacher((changed / 255).to(memory_format=torch.channels_last)).float()
        answers[copy, part] = torch.cat([head.softmax(dim=1) for head in logits.tensor_split(HEADS, dim=1)], dim=1)
    return Lessons(images, answers)


def _save(lessons: Lessons, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, images=lessons.images, answers=lessons.answers)
    partial.replace(path)
