"""The runs of a model, one folder for each seed, and those that left speakers out.

A cloud's model is the average of all its seeds.
"""

from __future__ import annotations

import re
from pathlib import Path

from training.errors import TrainingError
from training.loop import load_finished
from training.nets import ConvNet, build
from training.splits import FOLDS


def run_folder(runs: Path, task: str, arch: str, seed: int, fold: int = 0) -> Path:
    """Return the folder in `runs` of the run with that seed; with `fold`, of the one that left these speakers out."""
    return runs / (f"{task}-{arch}" + (f"-{seed}" if seed else "") + (f"-fold{fold}" if fold else ""))


def run_folders(runs: Path, task: str, arch: str) -> list[Path]:
    """Return the folders of all runs of a model that there are in `runs`, by seed; of those that heard all speakers.

    Raises TrainingError if there are several of a device's model.
    """
    folders = _found(runs, task, arch, 0)
    if arch == "edge" and len(folders) > 1:
        names = " and ".join(path.name for path in folders.values())
        raise TrainingError(f"{runs} holds {names}: a device has no time for several nets, move all but one away")
    return list(folders.values())


def trained_nets(runs: Path, task: str, arch: str) -> list[ConvNet]:
    """Return the averaged weights of each run, which are the ones that ship; an empty list without any run.

    Raises TrainingError if one is not done.
    """
    return [_averaged(folder, task, arch) for folder in run_folders(runs, task, arch)]


def fold_nets(runs: Path, arch: str) -> list[list[ConvNet]]:
    """Return, by fold, the speech nets that left it out, one for each seed; an empty list if none was trained.

    Raises TrainingError if one is not done, or a seed was not trained without each fold.
    """
    folds = [_found(runs, "speech", arch, fold) for fold in range(1, FOLDS + 1)]
    seeds = sorted({seed for folders in folds for seed in folders})
    for seed in seeds:
        for fold, folders in enumerate(folds, start=1):
            if seed not in folders:
                folder = run_folder(runs, "speech", arch, seed, fold)
                again = f"scripts/train speech --arch {arch} --seed {seed} --fold {fold}"
                raise TrainingError(f"there is no {folder}, only others like it: {again}, or move them away")
    return [[_averaged(folder, "speech", arch) for folder in folders.values()] for folders in folds] if seeds else []


def _found(runs: Path, task: str, arch: str, fold: int) -> dict[int, Path]:
    """Return the folders of the runs that left out this fold, 0 for none, in the order of their seeds."""
    without = f"-fold{fold}" if fold else ""
    pattern = re.compile(rf"{re.escape(f'{task}-{arch}')}(?:-([1-9]\d*))?{without}")
    found = {path: pattern.fullmatch(path.name) for path in runs.glob(f"{task}-{arch}*") if path.is_dir()}
    return dict(sorted((int(match[1] or 0), path) for path, match in found.items() if match))


def _averaged(folder: Path, task: str, arch: str) -> ConvNet:
    net = build(task, arch)
    net.load_state_dict(load_finished(folder)["averaged"])
    return net
