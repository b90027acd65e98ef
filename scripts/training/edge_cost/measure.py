"""All ways on the same media in turns, each in a process of its own: what else the machine does hits all alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from scipy.signal import resample_poly
from tqdm import tqdm

from edge.capture.base import SAMPLE_RATE
from training.edge_cost.nets import FACE, SPEECH, float_net
from training.edge_cost.ways import CAMERA_FPS, SOUND_RATE, WAYS, WINDOW_S
from training.errors import TrainingError
from training.models import ROOT
from training.scenes import FACES, Scene, make_scene


@dataclass
class Tally:
    """What was measured of one way on one scene."""

    scene: str
    way: str
    note: str
    cpu_s: float = 0.0
    media_s: float = 0.0
    faces: int = 0
    peak_kb: int = 0


class Child:
    """A process that plays one way. Raises TrainingError if that cannot be run."""

    def __init__(self, scene: str, way: str, *, python: str, media: Path, detector: str) -> None:
        self._scene, self._way = scene, way
        nets = float_net(FACE).parent
        command = [python, "-m", "training.edge_cost.child", way, str(media), str(nets), detector]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), "1")
        self._process = subprocess.Popen(
            command,
            env=os.environ | threads | {"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}", "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def loaded(self) -> Tally:
        """Wait until it is loaded and warm, and return an empty tally of it."""
        return Tally(self._scene, self._way, self._answer()["note"])

    def play(self, windows: int, tally: Tally) -> None:
        """Play the next windows and add to `tally`."""
        assert self._process.stdin is not None
        print(windows, file=self._process.stdin, flush=True)
        said = self._answer()
        tally.cpu_s += said["cpu_s"]
        tally.media_s += said["media_s"]
        tally.faces += said["faces"]
        tally.peak_kb = said["peak_kb"]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # libraries greet
                answer: dict[str, Any] = json.loads(line)
                return answer
        said = self._process.stderr.read().strip().splitlines() or ["it ended without a word"]
        raise TrainingError(f"{WAYS[self._way].about} cannot be run: {said[-1]}")


def measure(
    clips: Sequence[Path], seconds: float, folder: Path, *, detector: str, fer_python: str | None
) -> list[Tally]:
    """Play about so many seconds of both scenes by every way; without `fer_python` by all but the fer package's.

    `folder` is where media may be written, about 800 MB.
    """
    for net in (FACE, SPEECH):
        float_net(net)
    tallies = []
    for name, faces in FACES.items():
        media = folder / name
        write_media(make_scene(clips, faces=faces, fps=CAMERA_FPS), media)
        pythons = {way: fer_python if WAYS[way].kind == "fer" else sys.executable for way in WAYS}
        with ExitStack() as stack:
            children = [
                (stack.enter_context(Child(name, way, python=python, media=media, detector=detector)))
                for way, python in pythons.items()
                if python is not None
            ]
            here = [child.loaded() for child in children]
            for _ in tqdm(range(max(1, round(seconds / WINDOW_S))), desc=f"{name} in view", unit="window", leave=False):
                for child, tally in zip(children, here, strict=True):
                    child.play(1, tally)
        tallies += here
    return tallies


def write_media(scene: Scene, folder: Path) -> None:
    """Write the scene's whole windows for `child.Media`."""
    folder.mkdir()
    windows = int(scene.length_s / WINDOW_S)
    scene.frames[: round(windows * WINDOW_S * CAMERA_FPS)].tofile(folder / "frames.raw")
    pcm = scene.pcm[: round(windows * WINDOW_S * SAMPLE_RATE)]
    np.save(folder / "sound.npy", pcm)
    wide = resample_poly(pcm, SOUND_RATE // 50, SAMPLE_RATE // 50).astype(np.float32)
    np.save(folder / "sound-wide.npy", wide)


def has_fer(python: str) -> bool:
    """Return whether that Python has the fer package; asked without importing it, which takes TensorFlow a while."""
    command = [python, "-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('fer') is None)"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def figures(tallies: Sequence[Tally]) -> list[dict[str, Any]]:
    """Return one JSON object per scene and way; ratios are to Mien's way on the same scene."""
    own = {tally.scene: tally for tally in tallies if tally.way == "mien"}
    return [
        {
            "scene": tally.scene,
            "way": tally.way,
            "about": WAYS[tally.way].about + (f", {tally.note}" if tally.note else ""),
            "fps": WAYS[tally.way].fps,
            "media_s": tally.media_s,
            "cpu_per_media_s": _share(tally),
            "cpu_ratio": _share(tally) / _share(own[tally.scene]),
            "peak_mb": tally.peak_kb / 1024,
            "memory_ratio": tally.peak_kb / own[tally.scene].peak_kb,
            "faces": tally.faces,
        }
        for tally in tallies
    ]


def _share(tally: Tally) -> float:
    return tally.cpu_s / tally.media_s
