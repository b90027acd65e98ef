"""From checkpoints to what ships: model files, calibration, gates, manifest and model cards."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from edge.emotions import EMOTIONS
from edge.errors import ModelError
from edge.fusion import fold_calm
from edge.perception.golden import write_golden
from edge.perception.manifest import SCHEMA, Gate, Manifest, ModelEntry, Output, load_manifest, verified_file
from training import gate_fit, refit, verify
from training.card_tables import fairness_table, robustness_table
from training.cards import MADE_BY, Facts, Made, refresh_cards, write_card
from training.crossfit import FOLDER, net_files, stand_in, strangers_of
from training.errors import TrainingError
from training.examples import HEADS, Half, load_examples, load_strangers, quantisation_inputs
from training.face_task import predict
from training.fusion_data import load_side, stranger_judge
from training.fusion_fit import Judged
from training.loop import load_finished
from training.measure import HeadFigures, Judgement, calibrated_output, head_figures, slices
from training.members import fold_nets, run_folders, trained_nets
from training.models import Recognise, write_manifest
from training.nets import INPUT_LIMITS, Consensus, Ensemble, count_macs, count_parameters, input_shape
from training.quantise import write_int8, write_onnx
from training.shipped import shipped_nets
from training.speech_data import load_noises

Task = Literal["face", "speech"]
TASKS: tuple[Task, ...] = ("face", "speech")


@dataclass(frozen=True, kw_only=True)
class Job:
    """Which models to export, from where to where."""

    arch: str
    data: Path
    runs: Path
    folder: Path
    version: str
    cloud: Path | None = None
    """Folder of the models that the exported ones ask, for what asking is worth."""
    join: Collection[str] = ()
    """Tasks whose nets that ship are kept: of the cloud's the answers are averaged with the new ones'. Without a run,
    what ships is measured and calibrated anew, and written anew if it is the cloud's."""

    def path(self, task: str) -> Path:
        """Return where the model file of `task` goes."""
        return self.folder / f"{task}-{self.arch}.{'tflite' if self.arch == 'edge' else 'onnx'}"


@dataclass(frozen=True)
class Exported:
    """One shipped model with its figures, for the cards."""

    entry: ModelEntry
    figures: dict[str, HeadFigures]
    held_back: Judged
    agreement: float | None
    made: Made
    fairness: str
    robustness: str


def export(job: Job) -> Manifest:
    """Export the face and the speech model; what is in `job.folder` is replaced once all of it is made and checked.

    A model that was not trained here, having no run, stays as it ships; the other is fitted to work with it.
    Raises TrainingError if a checkpoint or data are missing, a limit is broken, or a runtime disagrees.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=job.folder.parent, prefix=".export-") as staged:
        manifest = _make(replace(job, folder=Path(staged)), job.folder)
        # The manifest last: until then the old one refuses the new files.
        for path in sorted(Path(staged).iterdir(), key=lambda each: each.name == "manifest.json"):
            path.replace(job.folder / path.name)
    return manifest


def _make(job: Job, before: Path) -> Manifest:
    chosen = [task for task in TASKS if run_folders(job.runs, task, job.arch) or task in job.join]
    if not chosen:
        raise TrainingError(f"no run of face-{job.arch} or speech-{job.arch} in {job.runs}: train one first")
    kept = {task: _keep(job, task, before) for task in TASKS if task not in chosen}
    done = {task: _export_one(job, task, before) for task in chosen}
    entries = kept | {task: one.entry for task, one in done.items()}
    _say("fitting fusion, filter and gates")
    face, speech = (_shipped(job.path(task), entries[task]) for task in TASKS)
    strangers = stranger_judge(job.path("speech"), entries["speech"].outputs[0])
    fitted, filtering = refit.fit(load_side(job.data, face, speech, "calibration", strangers))
    models = tuple(entries[task] for task in TASKS)
    write_manifest(Manifest(SCHEMA, models, fitted.weights, (), fitted.fit, filtering), job.folder)
    manifest = gate_fit.refit(job.folder, job.data, cloud=job.cloud)
    refresh_cards(job.folder, manifest)
    for task, one in done.items():
        (gate,) = (gate for gate in manifest.gates if gate.modalities == task)
        facts = Facts(
            one.entry,
            one.figures,
            one.agreement,
            one.made,
            one.fairness,
            one.robustness,
            _check(gate, one.held_back),
        )
        write_card(job.folder, facts, manifest)
    for entry in load_manifest(job.folder).models:
        verified_file(job.folder, entry)
    if job.arch == "edge":
        write_golden(job.folder, manifest)  # what `mien-edge doctor` holds a device against
    return manifest


def _keep(job: Job, task: Task, before: Path) -> ModelEntry:
    """Take over the model of `task` that ships, and its card. Raises TrainingError if none does."""
    try:
        entry = load_manifest(before).model(task)
        file = verified_file(before, entry)
    except ModelError as error:
        raise TrainingError(f"no run of {task}-{job.arch} in {job.runs}, and none ships: {error}") from error
    _say(f"no run of {entry.name}: {entry.file} of {entry.version} stays")
    for path in (file, before / f"MODEL_CARD_{task.upper()}.md"):
        shutil.copy(path, job.folder)
    return entry


def _export_one(job: Job, task: Task, before: Path) -> Exported:
    made = _made(job, task, before)
    examples = load_examples(task, job.data)
    nets = trained_nets(job.runs, task, job.arch)
    if task in job.join:
        nets = [*shipped_nets(task, job.arch, before / job.path(task).name, examples.calibration.inputs), *nets]
    net = _together(nets, task, job.arch)
    path = job.path(task)
    _say(f"writing and measuring {path.name}")
    if path.suffix == ".onnx":
        write_onnx(net, input_shape(task), path)
    elif made.runs:
        some = quantisation_inputs(task, job.data, job.runs / "cache", made.runs[0]["seed"])
        write_int8(net, some, INPUT_LIMITS[task], path)
    else:  # taken apart and quantised once more it would only lose
        shutil.copy(before / path.name, path)
    calibration = _run_both(net, path, examples.calibration)
    held_back = _run_both(net, path, examples.held_back)
    fitted_on = [calibration] if task == "face" else [calibration, *_strangers(job, path)]
    entry = _entry(job, task, net, _outputs(task, fitted_on, held_back))
    places = slices(HEADS[task])
    return Exported(
        entry,
        {output.name: head_figures(output, places[output.name], held_back) for output in entry.outputs},
        _judge(entry, held_back),
        _verified(entry, path, calibration),
        made,
        fairness_table(entry.outputs[0], held_back.shipped, examples.held_back),
        robustness_table(entry.outputs[0], path, examples.held_back, load_noises(job.data)),
    )


def _together(nets: Sequence[nn.Module], task: Task, arch: str) -> nn.Module:
    """Return what is written to the file: the device has no time for several nets, or for several looks at a face."""
    if arch == "edge":
        (net,) = nets
        return net
    return Consensus(nets) if task == "face" else Ensemble(nets)


def _run_both(net: nn.Module, path: Path, half: Half) -> Judgement:
    return Judgement(half, verify.run_shipped(path, half.inputs), predict(net, half.inputs))


def _strangers(job: Job, path: Path) -> list[Judgement]:
    """Return what is said of training speakers by the nets that never heard them; empty if there are no such nets.

    Those in `job.runs` are put beside the trainer first, to stand in for the speech model at `path`.
    """
    folds = fold_nets(job.runs, job.arch)
    if folds:
        FOLDER.mkdir(exist_ok=True)
        for old in FOLDER.glob(f"{path.stem}-fold*.onnx"):
            old.unlink()
        for nets, files in zip(folds, net_files(path, len(folds[0])), strict=True):
            for net, file in zip(nets, files, strict=True):
                write_onnx(net, input_shape("speech"), file)
        stand_in(path)
    strangers = strangers_of(path)
    if strangers is None:
        _say(f"no nets of --fold for {path.name}: calibration, fusion and gates rest on two speakers")
        return []
    half = load_strangers(job.data, strangers.speakers)
    assert half.speakers is not None
    logits = strangers.logits(half.inputs[:, 0], half.speakers)
    return [Judgement(half, logits, logits)]


def _outputs(task: str, fitted_on: Sequence[Judgement], held_back: Judgement) -> tuple[Output, ...]:
    places = slices(HEADS[task])
    return tuple(
        calibrated_output(name, labels, places[name], fitted_on, held_back) for name, labels in HEADS[task].items()
    )


def _entry(job: Job, task: Task, net: nn.Module, outputs: tuple[Output, ...]) -> ModelEntry:
    path = job.path(task)
    content = path.read_bytes()
    return ModelEntry(
        name=path.stem,
        task=task,
        version=job.version,
        file=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        parameters=count_parameters(net),
        macs=count_macs(net, input_shape(task)),
        input="gray48" if task == "face" else "logmel64",
        outputs=outputs,
    )


def _verified(entry: ModelEntry, path: Path, calibration: Judgement) -> float | None:
    """Hold the file against limits, net and runtimes; return the agreement of the runtimes, None for ONNX."""
    first = entry.outputs[0]
    classes = len(first.labels)
    verify.check_limits(entry, path)
    verify.check_parity(path, calibration.trained, calibration.shipped, calibration.half.labels[first.name], classes)
    if path.suffix == ".onnx":
        return None
    return verify.runtime_agreement(path, calibration.half.inputs, classes)


def _judge(entry: ModelEntry, judgement: Judgement) -> Judged:
    """Return the deployed head's calibrated probabilities, 7-way, of the examples that have a label."""
    output = entry.outputs[0]
    truth = judgement.half.labels[output.name]
    known = truth >= 0
    probabilities = output.calibrate(judgement.shipped[known, : len(output.labels)])
    if entry.task == "speech":
        return Judged(fold_calm(probabilities), _calm_as_neutral(truth[known]))
    return Judged(probabilities, truth[known])


def _calm_as_neutral(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(labels >= len(EMOTIONS), EMOTIONS.index("neutral"), labels)


def _shipped(path: Path, entry: ModelEntry) -> Recognise:
    """Return the deployed head of a file, calibrated."""
    output = entry.outputs[0]
    return lambda inputs: output.calibrate(verify.run_shipped(path, inputs[:, None])[:, : len(output.labels)])


def _check(gate: Gate, held_back: Judged) -> tuple[float, float, int] | None:
    """Return the share kept, the error among kept and n on the held-back half; None if the gate has no threshold."""
    if gate.threshold is None:
        return None
    kept = held_back.probabilities.max(axis=1) >= gate.threshold
    wrong = held_back.probabilities.argmax(axis=1) != held_back.labels
    return float(kept.mean()), float(wrong[kept].mean()) if kept.any() else 0.0, len(kept)


def _made(job: Job, task: Task, before: Path) -> Made:
    """Tell how what is exported was made. Raises TrainingError if its run is not done or nothing ships to be joined."""
    runs: list[dict[str, Any]] = []
    notes, folders = [], run_folders(job.runs, task, job.arch)
    if folders and task in job.join and job.arch == "edge":
        raise TrainingError(
            f"--join {task}: a device has no time for what ships and {folders[0]} as well; move one of them away"
        )
    for run in folders:
        state = load_finished(run)
        runs.append({**state["config"], "done": state["epoch"]})
        note = run / "NOTE.md"
        notes += [note.read_text().strip()] if note.exists() else []
    if task in job.join:
        try:
            version = load_manifest(before).model(task).version
            card = (before / f"MODEL_CARD_{task.upper()}.md").read_text()
        except (ModelError, OSError) as error:
            raise TrainingError(f"--join {task}: no {task} model ships in {before}: {error}") from error
        words = card.partition(MADE_BY)[2].partition("\n## ")[0].strip()
        first, _, earlier = words.partition("\n\n")
        # Exported twice without a run it is the same model: what the card told of its making is told once.
        same = not runs and first.startswith("`scripts/train export")
        notes.append(earlier if same else f"Of what shipped as {version}, the card said: {words}")
    return Made(tuple(runs), "\n\n".join(notes), joined=task in job.join)


def _say(what: str) -> None:
    print(f"export: {what}", file=sys.stderr)
