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
from edge.fusion import Fit
from edge.temporal import FilterFit

SCHEMA = "mien.models/1"

ONE_ERROR = 4.744
"""Upper 95 % bound of a Poisson mean where one event was seen: of n kept with one error, the bound is about 1 / n of
it."""
TIE_BREAK = 1e-4
"""Between equal gains the lower confidence goes first."""


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
    task: Literal["face", "speech", "text"]
    version: str
    file: str
    sha256: str
    bytes: int
    parameters: int
    macs: int
    input: Literal["gray48", "logmel64", "pieces64"]
    """`gray48`: (N, 48, 48) float32, gray / 255. `logmel64`: (N, 186, 64) float32 in [-4, 4], see features.py.
    `pieces64`: up to 64 word pieces and their mask, only in the cloud, see cloud/inference/pieces.py."""
    outputs: tuple[Output, ...]
    """The first is the deployed one."""


class GatePoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One threshold that the calibration examples were tried with."""

    threshold: float
    """Confidence from which on a reading would be kept. These are the same for every model: the grid of the fit."""
    kept: int
    """Calibration examples that would be kept."""
    errors: int
    """Wrong ones among them."""
    bound: float
    """With the gate's `confidence`, the true error rate among kept readings is no higher (Clopper & Pearson 1934)."""


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How sure is sure: per set of modalities, the confidence at which a reading stays on the device.

    `threshold` None: the error rate `alpha` could not be reached on the calibration split; every reading is unsure.
    """

    modalities: str
    """`face`, `speech`, `face+speech`, or in the cloud `text`."""
    alpha: float
    """The error rate among kept readings that the threshold was chosen to stay under."""
    confidence: float
    """1 - delta: how often a threshold chosen so keeps its promise."""
    threshold: float | None
    bound: float | None
    """Of the error rate at `threshold`; None without one."""
    n: int
    """Calibration examples behind it."""
    unit: str
    """What was counted."""
    design_effect: float
    """The examples are worth n / design_effect independent ones (Rao & Scott 1992)."""
    coverage: float
    """Share of the calibration examples that would be kept."""
    curve: tuple[GatePoint, ...]
    """From strict to lax; enough to choose a threshold for another `alpha`: see `point`."""
    gains: tuple[tuple[float, float], ...] = ()
    """(confidence, expected gain): how much oftener the cloud is right than a device of this confidence. Falling; empty
    where no cloud's model was at hand when the gate was fitted."""

    def point(self, alpha: float) -> GatePoint | None:
        """Return the laxest threshold at which the error rate is at most `alpha` with `confidence`, None if none is.

        Fixed-sequence testing (Angelopoulos et al. 2021, "Learn then Test", arXiv:2110.01052): thresholds are tested
        from strict to lax and testing stops at the first that fails, so that many tests need no correction. It starts
        where so many examples are kept that one error among them passes, which depends on confidences only.
        """
        chosen = None
        for point in self.curve:
            if point.kept < ONE_ERROR / alpha * self.design_effect:
                continue
            if point.bound > alpha:
                break
            chosen = point
        return chosen

    def worth(self, confidence: float) -> float:
        """Return what asking the cloud is worth at `confidence`: strictly falling, comparable between gates."""
        unsure = 1.0 - confidence
        if not self.gains:
            return unsure
        at, gains = zip(*self.gains, strict=True)
        gain = float(np.interp(confidence, at, gains))
        return max(gain, 0.0) + TIE_BREAK * unsure


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All models of one folder."""

    schema: str
    models: tuple[ModelEntry, ...]
    fusion_weights: dict[str, float]
    """Weights per modality for log-linear pooling: edge/fusion.py."""
    gates: tuple[Gate, ...] = ()
    fusion: Fit | None = None
    """The other parameters of the fusion rules; None in releases before 0.3."""
    filter: FilterFit | None = None
    """Of the filter over time; None in releases before 0.3."""

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
