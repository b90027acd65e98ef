"""`mien-edge check`: says whether the configuration is right, and what it allows."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.advice import advise
from edge.assemble import Models, described, load_models
from edge.clock import SystemClock
from edge.config import Loaded, read_config, with_alpha
from edge.errors import ConfigError, MienError, Problem
from edge.ownership import policy_file_problem
from edge.perception.detect import open_detector
from edge.perception.fetched import yunet_weights
from edge.policy import Permissions, decide
from edge.settings import Config


def execute(options: argparse.Namespace) -> int:
    """Print what the configuration means. Raises ConfigError naming all that is wrong in it, else ModelError."""
    try:
        loaded = read_config(options.config)
        problems = missing_files(loaded)
        if problems:
            raise ConfigError("\n".join(map(str, problems)), problems=tuple(problems))
        config = with_alpha(loaded.config, options.alpha)
        models = load_models(config.models)
        detector = open_detector(yunet_weights(loaded.config.face.detector_model)).name
    except MienError as error:
        if not options.json:
            raise
        print(json.dumps(_refused(options.config, error)))
        return 1
    now = SystemClock().wall()
    allowed = decide(loaded.config.declared_site(), now=now)
    warnings = [
        Problem(_place(loaded, each.section, each.key, options.config), *each)
        for each in advise(loaded.config, now=now)
    ]
    if options.json:
        print(json.dumps(_accepted(options.config, allowed, warnings, models, detector)))
    else:
        _print(options.config, allowed, warnings, models, detector, config)
    return 0


def missing_files(loaded: Loaded) -> list[Problem]:
    """Return what the settings name and is not there: a file, or the models' folder."""
    return [
        Problem(_place(loaded, section, key), section, key, f"{section}.{key} = {str(path)!r} does not exist")
        for section, key, path in named_files(loaded.config)
        if not _exists(path)
    ]


def named_files(config: Config) -> list[tuple[str, str, Path]]:
    """Return the files and folders that the settings name and that must be there: section, key, path."""
    mqtt = config.mqtt
    named = [
        *(("mqtt", key, getattr(mqtt, key)) for key in ("password_file", "ca_file", "certificate_file", "key_file")),
        ("models", "folder", config.models.folder),
        ("face", "detector_model", config.face.detector_model),
    ]
    return [(section, key, Path(path)) for section, key, path in named if path]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return True  # in a folder that this user may not look into: the daemon may


def _place(loaded: Loaded, section: str, key: str, path: Path | None = None) -> str:
    return loaded.origins[section, key].place or f"{path}, {section}.{key} (default)"


def _refused(path: Path, error: MienError) -> dict[str, Any]:
    problems = error.problems if isinstance(error, ConfigError) else ()
    told = [asdict(each) for each in problems] or [asdict(Problem(str(path), "", "", error.what, error.fix))]
    return {"file": str(path), "ok": False, "code": error.code, "problems": told}


def _accepted(
    path: Path, allowed: Permissions, warnings: list[Problem], models: Models, detector: str
) -> dict[str, Any]:
    return {
        "file": str(path),
        "ok": True,
        "problems": [],
        "warnings": [asdict(each) for each in warnings],
        "policy": asdict(allowed),
        "face_detector": detector,
        "models": [
            {"name": each.name, "version": each.version, "runtime": each.runtime, "sha256": each.sha256}
            for each in models.info()
        ],
        "model_problems": list(models.problems),
    }


def _print(
    path: Path, allowed: Permissions, warnings: list[Problem], models: Models, detector: str, config: Config
) -> None:
    print(f"{path}: fine")
    for each in warnings:
        print(f"warning: {each}")
    print(f"policy: {allowed.why}")
    for name, value in asdict(allowed).items():
        if name != "why":
            print(f"  {'yes' if value else 'no':4}{name.replace('_', ' ')}")
    problem = "" if config.site.mode == "demo" else policy_file_problem(path)
    if problem:
        print(f"warning: mien-edge run refuses this file, since only root may change the policy: {problem}")
    print(f"face detector: {detector}")
    for info in models.info():
        print(f"model: {info.name} {info.version} on {info.runtime}, sha256 {info.sha256[:12]}")
    for gate in models.gates(config):
        print(f"gate: {described(gate)}")
    for problem in models.problems:
        print(f"warning: going on without a model: {problem}")
