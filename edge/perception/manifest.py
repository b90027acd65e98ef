"""The manifest beside the models: which files, what they eat, what their outputs mean, how sure is sure.

One manifest serves the device (`models_tflite/manifest.json`), another the cloud (`cloud/models/manifest.json`). A
model whose file is missing, truncated or of another sha256 is refused.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError

SCHEMA = "mien.models/1"


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One calibrated head: a slice of the model's logits, `len(labels)` long, heads in the order of the manifest.

    Calibrated probabilities are softmax(logits / temperature + bias), fitted on held-out data with the model as it
    ships (vector scaling; Guo et al. 2017, "On Calibration of Modern Neural Networks").
    """

    name: str
    labels: tuple[str, ...]
    temperature: float
    bias: tuple[float, ...]
    ece: float
    """Expected calibration error, 15 bins, on `ece_split`."""
    ece_split: str

    def calibrate(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities, shape (N, len(labels)), from this head's logits of the same shape."""
        scaled = logits / self.temperature + np.asarray(self.bias, dtype=np.float32)
        scaled = scaled - scaled.max(axis=-1, keepdims=True)
        weights = np.exp(scaled)
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float32)


class ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model file."""

    name: str
    task: Literal["face", "speech"]
    version: str
    file: str
    sha256: str
    bytes: int
    parameters: int
    macs: int
    input: Literal["gray48", "logmel64"]
    """`gray48`: (N, 48, 48) float32, gray / 255. `logmel64`: (N, 186, 64) float32 in [-4, 4], see features.py."""
    outputs: tuple[Output, ...]
    """The first is the deployed one."""


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How sure is sure: per set of modalities, the confidence at which a reading stays on the device.

    `threshold` None: the error level `alpha` could not be reached on the calibration split; every reading is unsure.
    """

    modalities: str
    """`face`, `speech` or `face+speech`."""
    alpha: float
    """The error rate among kept readings that the threshold was chosen to stay under."""
    confidence: float
    """1 - delta of the Clopper-Pearson bound."""
    threshold: float | None
    n: int
    """Calibration examples behind it."""
    coverage: float
    """Share of the calibration examples that would be kept."""
    curve: tuple[tuple[float, float, float], ...]
    """(threshold, share offloaded, error among kept), coarse to fine."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All models of one folder."""

    schema: str
    models: tuple[ModelEntry, ...]
    fusion_weights: dict[str, float]
    """Reliability exponents per modality for log-linear pooling: edge/fusion.py."""
    gates: tuple[Gate, ...] = ()

    def model(self, task: str) -> ModelEntry:
        """Return the entry for `task`. Raises ModelError if there is none."""
        for entry in self.models:
            if entry.task == task:
                return entry
        raise ModelError(f"the manifest names no {task} model", fix="Install the models again.")


def load_manifest(folder: Path) -> Manifest:
    """Read `folder`/manifest.json. Raises ModelError if it is missing, damaged or of another major version."""
    path = folder / "manifest.json"
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist", fix="Install the models, or point models.folder at them.") from None
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path} is damaged: {error}", fix="Install the models again.") from error
    if manifest.schema != SCHEMA:
        raise ModelError(f"{path} has schema {manifest.schema!r}, not {SCHEMA!r}", fix="Update Mien or the models.")
    return manifest


def verified_file(folder: Path, entry: ModelEntry) -> Path:
    """Return the path of the model's file once its size and sha256 are as the manifest says. Raises ModelError."""
    path = folder / entry.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", fix="Install the models again.") from error
    if len(content) != entry.bytes:
        raise ModelError(f"{path} has {len(content)} bytes, not {entry.bytes}", fix="Install the models again.")
    digest = hashlib.sha256(content).hexdigest()
    if digest != entry.sha256:
        raise ModelError(f"{path} has sha256 {digest}, not {entry.sha256}", fix="Install the models again.")
    return path
