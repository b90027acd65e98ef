"""Teaching the device's speech net what the cloud's hears.

The teacher hears each example as its pupil does, masks and all, so nothing has to be prepared: it is asked anew for
every batch, which takes about as long as the training itself.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from training.distil import Teachers, blend, teacher_nets
from training.nets import Ensemble
from training.speech_task import SpeechSet, SpeechTask, speech_inputs


class DistilledSpeechTask(SpeechTask):
    """The speech task with targets that are mostly the teacher's answers."""

    def __init__(self, train: SpeechSet, validation: SpeechSet, teacher: nn.Module) -> None:
        super().__init__(train, validation)
        self._teacher = teacher

    def batch(self, indices: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return changed log-mels (N, 1, 186, 64) and targets (N, 8)."""
        inputs, said = super().batch(indices, generator)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            answers = self._teacher(inputs.to(memory_format=torch.channels_last)).float().softmax(dim=1)
        return inputs, blend(answers, said, heads=len(self.heads))


def speech_teacher(teachers: Teachers, train: SpeechSet) -> nn.Module:
    """Return the cloud's speech model. Raises TrainingError as `teacher_nets` does."""
    nets, _ = teacher_nets("speech", teachers, speech_inputs(train.take(slice(256))))
    return Ensemble(nets).eval()
