"""Fusion, filter and gates of what ships: fitted, and written into the manifests and the cards beside the models.

Model files stay as they are. `scripts/train export` fits the same for the models that it makes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from edge.assemble import described, gate_info
from edge.errors import ModelError
from edge.perception.manifest import load_manifest
from edge.temporal import FilterFit
from training import gate_fit
from training.cards import refresh_cards
from training.errors import TrainingError
from training.fusion_data import Side, shipped_side
from training.models import write_manifest
from training.rules_fit import Fitted, fit_fusion
from training.temporal_fit import fit_filter


def fit(calibration: Side) -> tuple[Fitted, FilterFit]:
    """Return what is fitted of fusion and filter."""
    fitted = fit_fusion(calibration)
    return fitted, fit_filter(calibration, fitted.fusion())


def refit_fusion(data: Path, folders: Mapping[str, Path]) -> int:
    """Fit fusion and filter anew for the models in `folders`, by arch, and then all gates, which depend on them."""
    try:
        for arch, folder in folders.items():
            print(f"fusion: fitting {arch}", file=sys.stderr)
            fitted, filtering = fit(shipped_side(arch, data, "calibration"))
            manifest = load_manifest(folder)
            changed = {"fusion_weights": fitted.weights, "fusion": fitted.fit, "filter": filtering}
            write_manifest(msgspec.structs.replace(manifest, **changed), folder)
            print(f"{arch}: fusion weights {fitted.weights}, stay {filtering.stay}")
    except ModelError as error:
        raise TrainingError(str(error)) from error
    return refit_gates(data, folders)


def refit_gates(data: Path, folders: Mapping[str, Path], archs: Sequence[str] = ("edge", "full")) -> int:
    """Fit the gates of `archs` anew for the models in `folders`, by arch; the device's know what the cloud is worth."""
    try:
        for arch in archs:
            folder = folders[arch]
            cloud = cloud_folder(folders) if arch == "edge" else None
            manifest = gate_fit.refit(folder, data, cloud=cloud)
            refresh_cards(folder, manifest)
            for gate in manifest.gates:
                print(f"{arch}: {described(gate_info(gate, gate.alpha))}")
    except ModelError as error:
        raise TrainingError(str(error)) from error
    return 0


def cloud_folder(folders: Mapping[str, Path]) -> Path | None:
    """Return the folder of the cloud's models; None if there are none."""
    return folders["full"] if (folders["full"] / "manifest.json").exists() else None
