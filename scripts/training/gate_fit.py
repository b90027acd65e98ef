"""The gates of a folder of models, fitted on the calibration half: thresholds, and what asking the cloud is worth.

Everything is read from the files that ship, so that gates can be fitted anew without training or export:
`scripts/train gates`.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.fusion import Fusion
from edge.perception.manifest import Gate, Manifest, load_manifest
from training.answers import Answers, face_answers, speech_answers, stranger_answers
from training.errors import TrainingError
from training.faces import PACKS
from training.fusion_data import fusion_of, joined
from training.fusion_fit import fuse_pairs, match_pairs
from training.gates import choose_gate, no_laxer_than
from training.models import write_manifest

KNOTS = 8
"""Bins of equally many examples behind the gain: few, since the cloud changes few answers."""

EVIDENCE_MEASURES = ("quality", "voiced_share")
"""What evidence says of its face and its sound (edge/protocol.py)."""

UNITS = {
    "face": "pictures with a FER+ majority, identical ones once",
    "speech": "clips, speakers correlated",
    "face+speech": "pairs of a face and a clip of strangers, none twice, speakers correlated",
}


def refit(folder: Path, data: Path, *, cloud: Path | None = None) -> Manifest:
    """Fit the gates of the models in `folder` and write them into its manifest; return it.

    `cloud`: the folder of the models that the device asks, for the gains; None: no gains. Raises TrainingError or
    ModelError if data or models cannot be used.
    """
    with TemporaryDirectory(prefix="gates-") as staged:
        device, manifest = _without_gates(folder, Path(staged) / "device")
        if cloud is None:
            fitted = _fitted(halves(data, device, None), manifest, None)
        else:
            beside, asked = _without_gates(cloud, Path(staged) / "cloud")
            fitted = _fitted(halves(data, device, beside), manifest, asked)
    manifest = msgspec.structs.replace(manifest, gates=tuple(fitted))
    write_manifest(manifest, folder)
    return manifest


def halves(data: Path, device: Path, cloud: Path | None) -> dict[str, Answers]:
    """Return the answers to the calibration half of the validation data, by task; identical pictures once.

    Where the speech models can judge the training speakers as strangers, they are there as well.
    """
    face_pack, speech_pack = data / "face" / PACKS["validation"], data / "speech" / "ravdess.zip"
    for pack in (face_pack, speech_pack):
        if not pack.exists():
            raise TrainingError(f"no validation data: {pack} is missing. Name its folder with --data or MIEN_DATA_DIR")
    face = face_answers(face_pack, device, cloud)
    speech = speech_answers(speech_pack, device, cloud, split="val")
    speech = speech.take(speech.calibration)
    strangers = stranger_answers(speech_pack, device, cloud)
    if strangers is not None:
        speech = joined(speech, strangers)
    return {"face": once(face.take(face.calibration)), "speech": speech}


def once(answers: Answers) -> Answers:
    """Return the first example of each group."""
    return answers.take(np.sort(np.unique(answers.groups, return_index=True)[1]))


def fused(face: Answers, speech: Answers, fusion: Fusion, asked: Fusion | None) -> Answers:
    """Return the fused answers to N pairs; the cloud fuses by `asked`, with what evidence tells it; None: no cloud."""
    own = fuse_pairs(face, speech, fusion)
    return Answers(
        probabilities=own,
        labels=face.labels,
        measures={},
        asked=own if asked is None else fuse_pairs(_at_cloud(face), _at_cloud(speech), asked),
        groups=speech.groups,
        calibration=face.calibration & speech.calibration,
    )


def _at_cloud(answers: Answers) -> Answers:
    told = {name: values for name, values in answers.measures.items() if name in EVIDENCE_MEASURES}
    return replace(answers, probabilities=answers.asked, measures=told)


def _without_gates(folder: Path, copy: Path) -> tuple[Path, Manifest]:
    """Return a copy of the folder without gates, and its manifest: those of another version cannot be read."""
    shutil.copytree(folder, copy)
    path = copy / "manifest.json"
    try:
        path.write_bytes(json.dumps({**json.loads(path.read_bytes()), "gates": []}).encode())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder / 'manifest.json'} cannot be read: {error}. Export the models first") from error
    return copy, load_manifest(copy)


def _fitted(of: dict[str, Answers], manifest: Manifest, asked: Manifest | None) -> list[Gate]:
    face, speech = match_pairs(of["face"], of["speech"])
    assert isinstance(face, Answers)
    assert isinstance(speech, Answers)
    both = fused(face, speech, fusion_of(manifest), None if asked is None else fusion_of(asked))
    gates: list[Gate] = []
    for name, one in (("face", of["face"]), ("speech", of["speech"]), ("face+speech", both)):
        gate = choose_gate(name, one.confidence, one.correct, groups=one.groups, unit=UNITS[name])
        gains = () if asked is None else gain_knots(one.confidence, expected_gain(one))
        gates.append(msgspec.structs.replace(gate, gains=gains))
    # One person's face and voice err together, which strangers' do not: a confidence that is too little for a face
    # alone is not enough with a voice to it either.
    face_gate, speech_gate, both_gate = gates
    return [face_gate, speech_gate, no_laxer_than(both_gate, face_gate)]


def expected_gain(answers: Answers) -> NDArray[np.float64]:
    """Return by how much the cloud thinks its own answer likelier than the device's, (N,), in [0, 1].

    It needs no labels, and varies less than counting who was right: the cloud changes one answer in twelve.
    """
    rows = np.arange(len(answers.labels))
    return np.asarray(
        answers.asked.max(axis=1) - answers.asked[rows, answers.probabilities.argmax(axis=1)], dtype=np.float64
    )


def gain_knots(confidences: NDArray[np.floating], gains: NDArray[np.floating]) -> tuple[tuple[float, float], ...]:
    """Return a falling, piecewise linear estimate of the gain over confidence, as up to 8 knots, rising in confidence.

    Means of bins of equally many examples, neighbours that rise pooled (isotonic regression; Ayer et al. 1955).
    """
    order = np.argsort(confidences, kind="stable")
    pools: list[list[NDArray[np.int64]]] = []
    for chunk in np.array_split(order, min(KNOTS, len(order))):
        pools.append([chunk])
        while len(pools) > 1 and _mean(gains, pools[-1]) > _mean(gains, pools[-2]):
            pools[-2:] = [pools[-2] + pools[-1]]
    return tuple((round(_mean(confidences, pool), 4), round(_mean(gains, pool), 4)) for pool in pools)


def _mean(values: NDArray[np.floating], pool: list[NDArray[np.int64]]) -> float:
    return float(values[np.concatenate(pool)].mean())
