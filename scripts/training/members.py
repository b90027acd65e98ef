"""The runs of a model, one folder for each seed. A cloud's model is the average of all of them."""

from __future__ import annotations

import re
from pathlib import Path

from training.errors import TrainingError
from training.loop import load_finished
from training.nets import ConvNet, build


def run_folder(runs: Path, task: str, arch: str, seed: int) -> Path:
    """Return the folder in `runs` of the run with that seed."""
    return runs / (f"{task}-{arch}-{seed}" if seed else f"{task}-{arch}")


def run_folders(runs: Path, task: str, arch: str) -> list[Path]:
    """Return the folders of all runs of a model that there are in `runs`, by seed.

    Raises TrainingError if there are several of a device's model.
    """
    pattern = re.compile(rf"{re.escape(f'{task}-{arch}')}(?:-([1-9]\d*))?")
    found = {path: pattern.fullmatch(path.name) for path in runs.glob(f"{task}-{arch}*") if path.is_dir()}
    folders = sorted((int(match[1] or 0), path) for path, match in found.items() if match)
    if arch == "edge" and len(folders) > 1:
        names = " and ".join(path.name for _, path in folders)
        raise TrainingError(f"{runs} holds {names}: a device has no time for several nets, move all but one away")
    return [path for _, path in folders]


def trained_nets(runs: Path, task: str, arch: str) -> list[ConvNet]:
    """Return the averaged weights of each run, which are the ones that ship; an empty list without any run.

    Raises TrainingError if one is not done.
    """
    nets = []
    for folder in run_folders(runs, task, arch):
        nets.append(build(task, arch))
        nets[-1].load_state_dict(load_finished(folder)["averaged"])
    return nets
