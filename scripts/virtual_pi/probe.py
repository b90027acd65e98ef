"""What a device's perception makes of given pictures and sound, as JSON: run here and on other machines to compare.

    python probe.py MEDIA.npz RUNTIME [YUNET]

MEDIA.npz holds `frames`, (N, H, W, 3) uint8 BGR at 10 a second, and `voice`, (M,) float32 at 16 kHz. Imports nothing
but what a device has.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np

from edge.assemble import load_models, speech_stage
from edge.capture.base import SAMPLE_RATE
from edge.perception.detect import open_detector
from edge.perception.face import FaceStage
from edge.perception.runtime import RuntimeName
from edge.settings import ModelSettings

FPS = 10.0


def main(media: Path, runtime: RuntimeName, yunet: str = "") -> None:
    """Print one object: the machine, what each detector and the face model saw, what was heard."""
    models = load_models(ModelSettings(runtime=runtime))
    with np.load(media) as given:
        frames, voice = given["frames"], given["voice"]
    result: dict[str, Any] = {"machine": platform.machine(), "python": platform.python_version()}
    for detector in ("", yunet) if yunet else ("",):
        face = FaceStage(open_detector(Path(detector) if detector else None), models.face, timer=time.thread_time)
        for number, frame in enumerate(frames):
            face.see(frame, number / FPS, infer=True)
        seen = face.take(0.0, len(frames) / FPS)
        probs = None if seen.primary is None else seen.primary.tolist()
        result["yunet" if detector else "haar"] = {"count": seen.count, "quality": seen.quality, "probs": probs}
    speech = speech_stage(models)
    speech.hear(voice, 0.0)
    heard = speech.take(0.0, len(voice) / SAMPLE_RATE, infer=True)
    probs = None if heard.probs is None else heard.probs.tolist()
    result["speech"] = {"voiced_share": heard.voiced_share, "probs": probs}
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), cast("RuntimeName", sys.argv[2]), *sys.argv[3:])
