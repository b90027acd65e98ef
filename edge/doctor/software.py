"""Checks of what is installed and configured: settings, mode, runtime, models."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edge import __version__
from edge.advice import advise
from edge.assemble import shipped_models
from edge.clock import SystemClock
from edge.commands.check import missing_files
from edge.doctor.ground import Ground
from edge.doctor.report import Finding
from edge.perception.detect import open_detector
from edge.perception.fetched import yunet_weights
from edge.perception.golden import TOLERANCE_STEPS, answers, load_golden, steps_off
from edge.perception.manifest import load_manifest
from edge.perception.runtime import RuntimeName, find_runtime
from edge.settings import FaceSettings, ModelSettings

PACKAGES = {"litert": "ai-edge-litert", "tflite": "tflite-runtime"}


def check_config(ground: Ground) -> Finding:
    """Say whether the settings are right."""
    if ground.loaded is None:
        problem = ground.problem
        assert problem is not None
        if not ground.path.exists():
            fix = f"Copy provisioning/edge.example.toml to {ground.path} and fill it in, or name a file with --config."
            return Finding("fail", f"{ground.path} does not exist", fix)
        count = len(problem.problems)
        what = problem.what if count <= 1 else f"{ground.path}: {count} problems, first: {problem.problems[0]}"
        return Finding("fail", what, f"mien-edge check --config {ground.path} names all.", {"problems": count})
    missing = missing_files(ground.loaded)
    if missing:
        return Finding("fail", "; ".join(map(str, missing)), "Put it there, or correct the path.")
    changed = sum(origin.kind == "environment" for origin in ground.loaded.origins.values())
    overridden = f", {changed} settings overridden by the environment" if changed else ""
    return Finding("ok", f"{ground.path}{overridden}")


def check_mode(ground: Ground) -> Finding:
    """Say what the policy lets run and leave, in words."""
    site, allowed = ground.config.declared_site(), ground.allowed
    runs = (
        "expression and vocal tone"
        if allowed.infer
        else "presence and voice only"
        if allowed.detect
        else "nothing, devices closed"
    )
    leaves = "readings" if allowed.publish_readings else "aggregates" if allowed.publish_aggregates else "health only"
    sent = [name for name, yes in (("log-mel", allowed.send_log_mel), ("face crops", allowed.send_crops)) if yes]
    text = f"{site.mode} in {site.setting}, {site.jurisdiction}: runs {runs}; leaves the device: {leaves}"
    text += f", evidence of {' and '.join(sent)}" if sent else ", no evidence"
    doubts = [each for each in advise(ground.config, now=SystemClock().wall()) if each.section in ("site", "privacy")]
    detail = {"mode": site.mode, "why": allowed.why}
    if doubts:
        return Finding("warn", f"{text}. Mind: {'; '.join(each.what for each in doubts)}", doubts[0].fix, detail)
    return Finding("ok", text, detail=detail)


def check_runtime(ground: Ground) -> Finding:
    """Say what runs the models here."""
    wanted: RuntimeName | None = (ground.loaded.config.models.runtime or None) if ground.loaded else None
    runtime = find_runtime(wanted)
    detail = {
        "mien": __version__,
        "runtime": runtime,
        "runtime_version": _version(PACKAGES[runtime]),
        "python": platform.python_version(),
        "numpy": _version("numpy"),
        "opencv": _version("opencv-python-headless") or _version("opencv-python") or _cv2_version(),
        "machine": platform.machine(),
    }
    text = (
        f"{PACKAGES[runtime]} {detail['runtime_version']}; Mien {__version__}, Python {detail['python']}, "
        f"numpy {detail['numpy']}, OpenCV {detail['opencv']}, {detail['machine']}"
    )
    if sys.maxsize < 2**32:
        return Finding("fail", text, "This is a 32-bit system: install the 64-bit Raspberry Pi OS.", detail)
    return Finding("ok", text, detail=detail)


def check_models(ground: Ground) -> Finding:
    """Say whether the models are the manifest's, and answer here as they did where they were made."""
    config = ground.loaded.config if ground.loaded else None
    settings, face = (config.models, config.face) if config else (ModelSettings(), FaceSettings())
    folder = Path(settings.folder) if settings.folder else shipped_models()
    manifest, golden = load_manifest(folder), load_golden(folder)
    runtime: RuntimeName | None = settings.runtime or None
    off = {
        entry.name: round(steps_off(golden, answers(folder, entry, runtime=runtime)), 1) for entry in manifest.models
    }
    detector = open_detector(yunet_weights(face.detector_model)).name
    names = ", ".join(f"{entry.name} {entry.version}" for entry in manifest.models)
    detail = {"folder": str(folder), "steps_off": off, "face_detector": detector}
    text = f"{names}: sha256 right, golden outputs within {max(off.values()):g} int8 steps; faces by {detector}"
    if max(off.values()) > TOLERANCE_STEPS:
        fix = (
            f"More than {TOLERANCE_STEPS:g}: install another version of the TFLite runtime, and report this processor."
        )
        return Finding("fail", text, fix, detail)
    if detector.startswith("haar"):
        fix = "mien-edge models fetch gets YuNet, which finds more faces and is faster."
        return Finding("warn", text, fix, detail)
    return Finding("ok", text, detail=detail)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cv2_version() -> str:
    import cv2  # Debian's package has no metadata of its own

    return str(cv2.__version__)
