"""All baselines beside Mien's own models: the missing are trained, all measured in one run, the page written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edge.perception.features import speech_features
from training.baselines.catalogue import BASELINES, PROTOCOLS, Baseline
from training.baselines.examples import MAKERS
from training.baselines.measuring import (
    Shipped,
    face_figures,
    one_face,
    shipped_face_figures,
    shipped_model,
    shipped_speech_figures,
    speech_figures,
    state_bytes,
)
from training.baselines.plot import plot_splits
from training.baselines.report import replace_section, section
from training.baselines.run import BaselineOrder, Sources, read_about, stored_order, train_baseline, trained_net
from training.baselines.timing import median_ms
from training.loop import load_checkpoint
from training.nets import count_parameters
from training.speech_data import load_clips

Row = dict[str, Any]
Calls = dict[str, Callable[[], object]]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared, and where the outcome goes."""

    data: Path
    runs: Path
    minutes: float
    """For each baseline; those of speech share it evenly among their protocols."""
    docs: Path
    """Folder of results.md, which is rewritten between two marks, and of baselines.png."""
    shipped: dict[str, Path]
    """edge and full -> folder with a manifest."""


def compare(order: Comparison) -> Path:
    """Train what is missing, measure all, write results.json, the page and its picture; return the page's path.

    Raises TrainingError if data are missing, ModelError if a model that ships is not as its manifest says.
    """
    sources = Sources(order.data, order.runs)
    for each in planned(order):
        train_one(each, sources)
    results = measure(order, sources)
    folder = order.runs / "baselines"
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    plot_splits(results["speech"], order.docs / "baselines.png")
    page = order.docs / "results.md"
    page.write_text(replace_section(page.read_text(), section(results)))
    return page


def planned(order: Comparison) -> list[BaselineOrder]:
    """Return the runs that the comparison needs; one that was begun goes on as it began."""
    runs = []
    for name, baseline in BASELINES.items():
        protocols = ["independent"] if baseline.task == "face" else list(PROTOCOLS)
        minutes = order.minutes / len(protocols)
        fresh = [BaselineOrder(name=name, runs=order.runs, protocol=each, minutes=minutes) for each in protocols]
        runs += [stored_order(each) for each in fresh]
    return runs


def train_one(order: BaselineOrder, sources: Sources) -> None:
    """Train one, with a line for people before and after."""
    print(f"train: {order.folder.name}, at most {order.minutes:g} minutes", file=sys.stderr)
    trainer = train_baseline(order, sources)
    print(f"train: {order.folder.name}: {trainer.epoch} of {trainer.config.epochs} epochs", file=sys.stderr)


def measure(order: Comparison, sources: Sources) -> dict[str, Any]:
    """Return rows for faces and for speech, models of one kind timed side by side on one thread."""
    torch.set_num_threads(1)
    return {"face": _face_rows(order, sources), "speech": _speech_rows(order, sources)}


def _face_rows(order: Comparison, sources: Sources) -> list[Row]:
    image = one_face(sources)
    rows: list[Row] = []
    calls: Calls = {}
    for name, baseline in _of("face"):
        folder = BaselineOrder(name=name, runs=order.runs).folder
        net = trained_net(folder, name)
        rows.append(_row(name, baseline, net, folder) | {"figures": face_figures(net, sources.test_faces)})
        calls[name] = _inference(net, torch.from_numpy(image))
    for arch, models in order.shipped.items():
        model = shipped_model(arch, models, "face")
        rows.append(_shipped_row(model) | {"figures": shipped_face_figures(model, sources.test_faces)})
        calls[model.entry.name] = _shipped_inference(model, image[0])
    return _timed(rows, calls, {})


def _speech_rows(order: Comparison, sources: Sources) -> list[Row]:
    clips = load_clips(order.data, "validation")
    pcm = clips[0].pcm
    rows: list[Row] = []
    calls: Calls = {}
    features: Calls = {}
    for name, baseline in _of("speech"):
        figures, epochs, seconds = {}, {}, {}
        for protocol in PROTOCOLS:
            folder = BaselineOrder(name=name, runs=order.runs, protocol=protocol).folder
            net = trained_net(folder, name)
            figures[protocol] = speech_figures(net, baseline.inputs, sources.sound, protocol)
            one = _row(name, baseline, net, folder)
            epochs[protocol], seconds[protocol] = one["epochs"], one["seconds"]
        rows.append(one | {"figures": figures, "epochs": epochs, "seconds": seconds})
        make = MAKERS[baseline.inputs]
        features[name] = partial(make, pcm)
        calls[name] = _inference(net, torch.from_numpy(make(pcm))[None, None])
    for arch, models in order.shipped.items():
        model = shipped_model(arch, models, "speech")
        rows.append(_shipped_row(model) | {"figures": {"independent": shipped_speech_figures(model, clips)}})
        features[model.entry.name] = partial(speech_features, pcm)
        calls[model.entry.name] = _shipped_inference(model, speech_features(pcm)[None])
    return _timed(rows, calls, features)


def _of(task: str) -> list[tuple[str, Baseline]]:
    return [(name, baseline) for name, baseline in BASELINES.items() if baseline.task == task]


def _row(name: str, baseline: Baseline, net: nn.Module, folder: Path) -> Row:
    state, weights = load_checkpoint(folder), read_about(folder)["weights"]
    return {
        "name": name,
        "ours": False,
        "about": baseline.about,
        "note": f"from {weights}" if weights else baseline.smaller,
        "parameters": count_parameters(net),
        "bytes": state_bytes(net),
        "epochs": f"{state['epoch']}/{state['config']['epochs']}",
        "seconds": round(sum(entry["seconds"] for entry in state["history"])),
    }


def _shipped_row(model: Shipped) -> Row:
    return {
        "name": model.entry.name,
        "ours": True,
        "about": f"Mien's, {'device' if model.arch == 'edge' else 'cloud'}, {Path(model.entry.file).suffix[1:]}",
        "note": "",
        "parameters": model.entry.parameters,
        "bytes": model.entry.bytes,
    }


def _inference(net: nn.Module, inputs: torch.Tensor) -> Callable[[], object]:
    def call() -> object:
        with torch.inference_mode():
            return net(inputs)

    return call


def _shipped_inference(model: Shipped, inputs: np.ndarray[Any, Any]) -> Callable[[], object]:
    return partial(model.run, inputs)


def _timed(rows: list[Row], calls: Calls, features: Calls) -> list[Row]:
    times, before = median_ms(calls), median_ms(features)
    return [row | {"ms": times[row["name"]], "features_ms": before.get(row["name"], 0.0)} for row in rows]
