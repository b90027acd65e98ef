"""The command line of `scripts/train`."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

from training.baselines import command as baselines
from training.baselines.catalogue import names as baseline_names
from training.errors import TrainingError
from training.prepare import command as prepare
from training.splits import FOLDS
from training.text import command as text_command

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "runs"
MODEL_FOLDERS = {"edge": ROOT / "models_tflite", "full": ROOT / "cloud" / "models"}

ARCHS = ["edge", "full"]
COMMANDS = "face|speech|text|export|golden|fusion|gates|temporal|compare|prepare"

DESCRIPTION = """\
Train the face and speech models and export them for the device and the cloud.

  scripts/train face --arch full         the cloud's face model, about 35 minutes on two idle cores
  scripts/train face                     the device's, about 20 minutes
  scripts/train face --distil            the same, taught also by the cloud's, as last trained or else as it ships
  scripts/train speech                   tone of voice, for the device, about 5 minutes
  scripts/train speech --distil          the same, taught also by the cloud's
  scripts/train speech --arch full       the cloud's, about 10 minutes; it averages all --seed S that were trained
  scripts/train text                     emotion in English text, for the cloud, about 6 minutes on an idle core
  scripts/train export                   int8 TFLite, ONNX, calibration, fusion, gates, manifests, model cards
  scripts/train export --arch text       the text model: ONNX, calibration, threshold, manifest, card
  scripts/train golden                   models_tflite/golden.json anew, which `mien-edge doctor` compares with
  scripts/train fusion                   fusion, filter and gates anew for the model files that are there; a minute
  scripts/train gates                    the gates alone; 20 seconds

  scripts/train face --distil --resume   goes on after Ctrl-C or a power cut, with the options that it began with
  scripts/train temporal                 an LSTM to compare the filter over time with
  scripts/train compare                  the models of the papers that Mien grew out of, beside its own
  scripts/train prepare CORPUS SOURCE    make the packs that all these read, of releases as downloaded

Checkpoints, metrics.json and curves.png go to runs/TASK-ARCH, with seeds other than 0 to runs/TASK-ARCH-SEED. Packs
are read from --data, else $MIEN_DATA_DIR, else ../shared/data beside the repository; docs/data.md says which, where to
get the releases, and under which terms."""

TRAIN_HELP = """\
Training is seeded: the same seed, data, threads and machine give the same weights, resumed or not. After each epoch the
net is saved and tried on the calibration half of the validation data; the other half is read by `scripts/train export`
and `compare` alone, for their figures. Ctrl-C stops; at most one epoch is lost."""

EXPORT_HELP = """\
Takes the averaged weights of runs/face-ARCH and runs/speech-ARCH and writes, for `edge`, models_tflite/ (int8 TFLite,
run in LiteRT and in tflite-runtime) and, for `full`, cloud/models/ (ONNX, compared with PyTorch). The cloud's models
average the nets of all seeds that were trained, with --join those that ship as well, and look at a face ten times.
Temperature and bias of every head, fusion weights and gate thresholds are fitted on the calibration half of the
validation data, all figures of the cards measured on the other half. Nets in runs/speech-ARCH-fold1, -fold2 and so on
are kept in scripts/training/strangers/: what they say of training speakers whom they never heard is calibration data,
too. What a card should say of a run besides stands in NOTE.md in its folder."""

FUSION_HELP = """\
Fits the fusion rules, the filter over time and the gates of models_tflite/ and cloud/models/ anew, from the files that
are there, on the calibration half of the validation data, and voices of training speakers, each judged by a net that
never heard them. Manifests and cards are changed and nothing else; `scripts/train export` does it for new models."""

TEMPORAL_HELP = """\
Trains an LSTM of 16 units to read sequences of windows, on simulated sequences of the calibration half, fused as the
shipped device does: what `scripts/evaluate temporal` compares the filter over time with. It does not ship. Seeded, two
minutes; the weights go to runs/temporal/lstm.npz and count until other models or fusion weights ship."""

GATES_HELP = """\
Fits the gates of models_tflite/ and cloud/models/ anew, from the files that are there, on the calibration half of the
validation data: thresholds on confidence with a stated risk, and what asking the cloud is worth. Manifests and cards
are changed and nothing else; `scripts/train export` and `fusion` do the same."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status: 0, 1 for what the user can mend, 130 after Ctrl-C."""
    try:
        options = _parser().parse_args(arguments)
        _check(options)
        if options.command == "prepare":
            return prepare.run(options)
        if options.command == "golden":
            return _golden()
        data = _data_folder(options.data)
        if options.command == "export":
            return _export(options, data)
        if options.command in ("fusion", "gates", "temporal"):
            return _fit(options.command, data)
        if options.command == "compare":
            return baselines.compare(options, data, RUNS, MODEL_FOLDERS)
        if options.command == "text":
            return text_command.train(options, data, RUNS)
        if baselines.is_baseline(options):
            return baselines.train(options, data, RUNS)
        return _train(options, data)
    except TrainingError as error:
        print(f"train: {error}", file=sys.stderr)
        return 1


def _check(options: argparse.Namespace) -> None:
    """Raise TrainingError for options that mean nothing together, whatever is to be trained."""
    if not getattr(options, "fold", 0):
        return
    if options.arch not in ARCHS:
        raise TrainingError(
            f"--fold is for --arch {' and '.join(ARCHS)}: nothing is fitted on what {options.arch} says"
        )
    if options.distil or options.start is not None:
        raise TrainingError("--fold without --distil and --start: who is learnt from there heard the speakers left out")


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line and exit status 1."""

    def error(self, message: str) -> None:  # type: ignore[override]  # argparse promises NoReturn; raising keeps it
        raise TrainingError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="scripts/train", description=DESCRIPTION, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True, metavar=COMMANDS)
    for task in ("face", "speech"):
        about = f"Train a {task} model.\n\n{TRAIN_HELP}"
        command = commands.add_parser(task, help=f"train a {task} model", description=about, formatter_class=raw)
        command.add_argument(
            "--arch",
            choices=[*ARCHS, *baseline_names(task)],
            default="edge",
            metavar="NAME",
            help="edge for the device, full for the cloud (edge); or a baseline, listed below",
        )
        command.add_argument("--epochs", type=_positive, metavar="N", help="how often all examples are seen")
        command.add_argument("--seed", type=_seed, default=0, metavar="S", help="of weights, order and changes (0)")
        about = "learn also from what full says: as trained in runs/, else, and --arch full always, as it ships"
        command.add_argument("--distil", action="store_true", help=about)
        _add_fold(command, task)
        about = "start from this run of the same net, or .tflite or .onnx file that ships, at 0.3 of the learning rate"
        command.add_argument("--start", type=Path, metavar="RUN", help=about)
        about = "highest of the schedule (the usual one of the net, with --start 0.3 of it)"
        command.add_argument("--learning-rate", type=_rate, metavar="R", help=about)
        command.add_argument("--resume", action="store_true", help="go on from the last saved epoch")
        command.add_argument("--threads", type=_positive, metavar="N", help="CPU threads (all cores)")
        baselines.add_options(command, task)
        _add_data(command)
    _add_data(text_command.add_parser(commands, _positive, _seed))
    _add_data(baselines.add_compare(commands))
    command = commands.add_parser("export", help="write what ships", description=EXPORT_HELP, formatter_class=raw)
    command.add_argument(
        "--arch", choices=["edge", "full", "text"], help="only the device's, the cloud's, or its text model"
    )
    about = (
        "average the cloud's new nets with those that ship; without new ones what ships is measured anew; repeatable"
    )
    command.add_argument("--join", action="append", default=[], choices=["face", "speech"], help=about)
    about = "for manifest and cards (the next after what ships: 1.3.0 after 1.2.3)"
    command.add_argument("--version", metavar="V", help=about)
    _add_data(command)
    commands.add_parser("golden", help="write models_tflite/golden.json anew, from the models beside it")
    about = "fit fusion, filter and gates of what ships anew"
    _add_data(commands.add_parser("fusion", help=about, description=FUSION_HELP, formatter_class=raw))
    command = commands.add_parser("gates", help="fit the gates anew", description=GATES_HELP, formatter_class=raw)
    _add_data(command)
    about = "train the LSTM that the filter over time is compared with"
    _add_data(commands.add_parser("temporal", help=about, description=TEMPORAL_HELP, formatter_class=raw))
    prepare.add_parser(commands)
    return parser


def _add_fold(command: argparse.ArgumentParser, task: str) -> None:
    if task == "face":
        command.set_defaults(fold=0)
        return
    about = f"leave out this fold of the training speakers, 1 to {FOLDS}; with a run for each, `export` calibrates and "
    about += "fits gates also on what these nets say of speakers whom they never heard"
    command.add_argument("--fold", type=int, choices=range(1, FOLDS + 1), default=0, metavar="K", help=about)


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data", type=Path, metavar="DIR", help="folder with face/, speech/, noise/, text/ ($MIEN_DATA_DIR)"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate <= 10:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 10")
    return rate


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _data_folder(named: Path | None) -> Path:
    folder = named or Path(os.environ.get("MIEN_DATA_DIR") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        raise TrainingError(f"no data: {folder} is no folder. Name it with --data or MIEN_DATA_DIR")
    return folder


def _train(options: argparse.Namespace, data: Path) -> int:
    from training.runs import Order, train

    order = Order(
        task=options.command,
        arch=options.arch,
        data=data,
        runs=RUNS,
        epochs=options.epochs,
        distil=options.distil,
        start=options.start,
        learning_rate=options.learning_rate,
        seed=options.seed,
        fold=options.fold,
        resume=options.resume,
        threads=options.threads,
    )
    try:
        trainer = train(order)
    except KeyboardInterrupt:
        again = "" if options.epochs is None else f" --epochs {options.epochs}"
        again += " --distil" if order.distil else ""
        again += f" --fold {order.fold}" if order.fold else ""
        again += "" if order.start is None else f" --start {order.start}"
        again += "" if order.learning_rate is None else f" --learning-rate {order.learning_rate}"
        again += "" if options.data is None else f" --data {options.data}"
        print(
            f"train: stopped; the last whole epoch is saved in {order.folder}. Go on with: "
            f"scripts/train {order.task} --arch {order.arch}{again} --seed {order.seed} --resume",
            file=sys.stderr,
        )
        return 130
    figures = " ".join(f"{name}={value}" for name, value in (trainer.history or [{}])[-1].items())
    print(f"{order.folder}: {figures}")
    return 0


def _export(options: argparse.Namespace, data: Path) -> int:
    if options.arch == "text":
        return text_command.export(options, data, RUNS, MODEL_FOLDERS["full"])
    from training.export import Job, export
    from training.models import next_version
    from training.refit import cloud_folder, refit_gates

    # The cloud's first: what asking them is worth belongs to the device's gates.
    for arch in [options.arch] if options.arch else ["full", "edge"]:
        folder = MODEL_FOLDERS[arch]
        cloud = cloud_folder(MODEL_FOLDERS) if arch == "edge" else None
        version = options.version or next_version(folder)
        job = Job(arch=arch, data=data, runs=RUNS, folder=folder, version=version, cloud=cloud, join=options.join)
        for entry in export(job).models:
            print(f"{folder / entry.file}: {entry.bytes} bytes, ECE {entry.outputs[0].ece}")
    if options.arch == "full" and (MODEL_FOLDERS["edge"] / "manifest.json").exists():
        return refit_gates(data, MODEL_FOLDERS, ["edge"])
    return 0


def _fit(what: str, data: Path) -> int:
    """Fit what is no net of its own, on the models that ship."""
    if what == "temporal":
        from training import temporal_lstm

        return temporal_lstm.run(data)
    from training import refit

    return (refit.refit_fusion if what == "fusion" else refit.refit_gates)(data, MODEL_FOLDERS)


def _golden() -> int:
    from edge.perception.golden import FILE, write_golden
    from edge.perception.manifest import load_manifest

    folder = MODEL_FOLDERS["edge"]
    write_golden(folder, load_manifest(folder))
    print(folder / FILE)
    return 0
