"""Which baselines there are, and how they are trained. Imports nothing heavy.

What is known of the papers are the widths, layers and features that `about` names without "here", the 100 epochs of
kottayam-lstm, and that sound was changed by noise, stretch, shift and pitch. All other settings were chosen here.
"""

from __future__ import annotations

from dataclasses import dataclass

PROTOCOLS = {
    "independent": "trained on all packs but RAVDESS actors 18-21, measured on these",
    "random": "80 of 100 clips at random, the others measured",
    "leak": "the same, but the augmented copies were made before the split",
}
"""How speech is divided. The first is the one that counts; the others show how much dividing at random flatters."""

DEFAULT_MINUTES = 15.0


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One model and its training: Adam, constant rate, plain cross-entropy, the last epoch counts."""

    task: str
    about: str
    """One line for people."""
    epochs: int
    """If time allows."""
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    inputs: str = "gray"
    """Speech: which features of `examples.SoundExamples` the net takes."""
    takes_weights: bool = False
    """Whether it can start from the weights of a large image net."""
    smaller: str = ""
    """What was made smaller, for lack of time, if it does not start from such weights."""

    @property
    def threads(self) -> int | None:
        """CPU threads to train with: sound nets are so small that a second thread costs more than it does."""
        return 1 if self.task == "speech" else None


BASELINES = {
    "kottayam-cnn": Baseline(
        task="face",
        about="IIIT Kottayam: 3 convolutions 64-128-256, dense 512",
        epochs=50,
        batch_size=64,
        learning_rate=1e-3,
    ),
    "minigenie-cnn": Baseline(
        task="face",
        about="MiniGenie: 4 blocks of 2 convolutions (here 32-64-128-256), batch norm, pooling, ELU; dense 256/128/64",
        epochs=50,
        batch_size=64,
        learning_rate=1e-3,
    ),
    "vgg16": Baseline(
        task="face",
        about="VGG16 (here with a small head); with --weights its first 10 convolutions stay as they are",
        epochs=30,
        batch_size=64,
        learning_rate=2e-4,
        takes_weights=True,
        smaller="half the channels, no pretrained weights",
    ),
    "xception": Baseline(
        task="face",
        about="Xception: entry, middle and exit flow of separable convolutions",
        epochs=30,
        batch_size=64,
        learning_rate=1e-3,
        takes_weights=True,
        smaller="a quarter of the channels, 2 of 8 middle blocks, no pretrained weights",
    ),
    "kottayam-lstm": Baseline(
        task="speech",
        about="IIIT Kottayam: LSTM with 123 units over 40 MFCCs (here the 40 means, as 40 steps), dense 64/32",
        epochs=100,
        batch_size=64,
        learning_rate=1e-3,
        inputs="mfcc_means",
    ),
    "minigenie-cnn1d": Baseline(
        task="speech",
        about="MiniGenie: 1-D convolutions 256-256-128-64 over means of ZCR, chroma, MFCC, RMS, mel (here 162)",
        epochs=50,
        batch_size=64,
        learning_rate=1e-3,
        inputs="means",
    ),
    "mlp": Baseline(
        task="speech",
        about="MLP (here 300 units) over MFCC, chroma, mel (here 180 means), level and length as a clean reference's",
        epochs=200,
        batch_size=256,
        learning_rate=1e-3,
        weight_decay=1e-4,
        inputs="matched_means",
    ),
    "bilstm": Baseline(
        task="speech",
        about="bidirectional LSTM over MFCCs (here 2 layers of 64 units, 40 MFCCs a frame, dense 64)",
        epochs=60,
        batch_size=64,
        learning_rate=1e-3,
        inputs="mfcc_frames",
    ),
    "cnn-lstm": Baseline(
        task="speech",
        about="CNN and LSTM (here convolutions 16-32-64 over the log-mel, then 128 units over what is left of time)",
        epochs=60,
        batch_size=64,
        learning_rate=1e-3,
        inputs="log_mel",
    ),
}


def names(task: str) -> list[str]:
    """Return the baselines of `task`, face or speech."""
    return [name for name, baseline in BASELINES.items() if baseline.task == task]


def listing(task: str) -> str:
    """Return one line for each baseline of `task`, for --help."""
    lines = [f"  {name:16} {BASELINES[name].about}" for name in names(task)]
    return "\n".join([f"baselines, for --arch ({DEFAULT_MINUTES:g} minutes each, or --minutes):", *lines])
