"""Golden values: what each model answered, where it was made, to inputs that can be made anywhere.

`golden.json` stands beside the manifest and is written with it (`scripts/train export`, `scripts/train golden`). A
device whose runtime or processor computes something else shows it here, although the file's sha256 is right.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError
from edge.perception.manifest import Manifest, ModelEntry, verified_file
from edge.perception.runtime import RuntimeName, TfliteModel

FILE = "golden.json"
SCHEMA = "mien.golden/1"
TOLERANCE_STEPS = 10.0
"""Outputs of one int8 model differ by up to so many steps of its output between processors and runtimes."""

SHAPES = {"gray48": ((48, 48), (0.0, 1.0)), "logmel64": ((186, 64), (-4.0, 4.0))}
"""Shape and limits of each kind of input, as the manifest names them."""


class GoldenModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answers of one model."""

    name: str
    sha256: str
    """Of the model that gave them."""
    step: float
    """What one step of the int8 output is worth."""
    outputs: tuple[tuple[float, ...], ...]
    """Logits, one row per golden input."""


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All golden values of one folder."""

    schema: str
    models: tuple[GoldenModel, ...]


def golden_inputs(kind: str) -> NDArray[np.float32]:
    """Return the inputs, shape (3, ...), for the input `kind` of the manifest: noise, a slope, squares.

    Made by integer arithmetic alone, so that they are the same on every machine.
    """
    (high, wide), (low, top) = SHAPES[kind]
    row, column = np.indices((high, wide))
    noise = ((row * 73_856_093) ^ (column * 19_349_663)) % 1009 / 1008.0
    slope = (row / (high - 1) + column / (wide - 1)) / 2.0
    squares = (row // 8 + column // 8) % 2
    return np.asarray(low + (top - low) * np.stack([noise, slope, squares]), np.float32)


def answers(folder: Path, entry: ModelEntry, *, runtime: RuntimeName | None = None) -> GoldenModel:
    """Return what the model of `entry` answers here. Raises ModelError if it cannot be used."""
    model = TfliteModel(verified_file(folder, entry), runtime=runtime)
    rows = model(golden_inputs(entry.input)).tolist()
    rounded = tuple(tuple(round(value, 5) for value in row) for row in rows)
    return GoldenModel(entry.name, entry.sha256, model.output_step, rounded)


def write_golden(folder: Path, manifest: Manifest) -> None:
    """Write `folder`/golden.json with what the models of `manifest` answer here."""
    golden = Golden(SCHEMA, tuple(answers(folder, entry) for entry in manifest.models))
    (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(golden), indent=2) + b"\n")


def load_golden(folder: Path) -> Golden:
    """Read `folder`/golden.json. Raises ModelError if it is missing, damaged or of another major version."""
    path = folder / FILE
    try:
        golden = msgspec.json.decode(path.read_bytes(), type=Golden)
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist", fix="Install the models again.") from None
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path} is damaged: {error}", fix="Install the models again.") from error
    if golden.schema != SCHEMA:
        raise ModelError(f"{path} has schema {golden.schema!r}, not {SCHEMA!r}", fix="Update Mien or the models.")
    return golden


def steps_off(golden: Golden, here: GoldenModel) -> float:
    """Return by how many int8 steps the farthest output is off. Raises ModelError if there is nothing to compare."""
    for each in golden.models:
        if (each.name, each.sha256) == (here.name, here.sha256):
            return float(np.abs(np.asarray(each.outputs) - np.asarray(here.outputs)).max() / each.step)
    raise ModelError(f"{FILE} has no values of {here.name} as it is installed", fix="Run scripts/train golden.")
