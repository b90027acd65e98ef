"""Print the figures of the voice activity detection on the data packs: scripts/measure_vad [--data DIR] [--json].

The shipped network was trained on these noises and voices. What it does on sound that it never heard are the figures
of its cross-validation, which stand in its file and are printed beside.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from edge.perception import vad
from training.errors import TrainingError
from training.vad_measure import Tally, tally_noises, tally_speech
from training.vad_scenes import Corpus, load_corpus

DATA = Path(os.environ.get("MIEN_DATA_DIR", Path(__file__).resolve().parents[3] / "shared" / "data"))
TARGETS = {"noise": "at most 5 %", "plain_10db": "at least 90 %"}


def main() -> int:
    """Measure and print; returns 1 where data are missing."""
    parser = argparse.ArgumentParser(prog="scripts/measure_vad", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the packs; default $MIEN_DATA_DIR")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    try:
        corpus = load_corpus(options.data)
    except TrainingError as error:
        print(f"measure_vad: {error}", file=sys.stderr)
        return 1
    stored = json.loads(Path(vad.__file__).with_name(vad.WEIGHTS).read_text(encoding="utf-8"))["figures"]
    found = {"shipped": _shipped(corpus), "cross_validation": stored, "cost": _cost(corpus)}
    found["threshold"] = {"frame": vad.SPEECH_PROBABILITY, "clip": vad.VOICED_SHARE_MIN}
    print(json.dumps(found) if options.json else _table(found))
    return 0


def _shipped(corpus: Corpus) -> dict[str, object]:
    tallies = {
        name: Tally() for name in ("noise", "plain_10db", "plain_0db", "plain_clean", "acted_10db", "acted_clean")
    }
    tally_noises(tallies["noise"], corpus.noises)
    for name, speech, snr_db in (
        ("plain_10db", corpus.plain * 3, 10.0),
        ("plain_0db", corpus.plain * 3, 0.0),
        ("plain_clean", corpus.plain, None),
        ("acted_10db", corpus.acted_validation, 10.0),
        ("acted_clean", corpus.acted_validation, None),
    ):
        tally_speech(tallies[name], speech, corpus.noises, snr_db=snr_db, seed=1)
    return {name: tally.figures() for name, tally in tallies.items()}


def _cost(corpus: Corpus) -> dict[str, float]:
    """CPU seconds per second of sound, in blocks of 0.1 s as they come from a microphone and in windows of 3 s."""
    pcm = corpus.noises[0].pcm[:48_000]
    activity = vad.VoiceActivity()
    start = time.process_time()
    for _ in range(20):
        for block in range(0, len(pcm), 1_600):
            activity.feed(pcm[block : block + 1_600])
    streamed = time.process_time() - start
    start = time.process_time()
    for _ in range(20):
        vad.voiced_share(pcm)
    whole = time.process_time() - start
    return {"cpu_share_streamed": streamed / 60.0, "cpu_share_windows": whole / 60.0}


def _table(found: dict[str, dict[str, Any]]) -> str:
    lines = [f"{'speech found in':<16}{'':<18}{'clips':>8}{'frames':>8}"]
    for origin in ("cross_validation", "shipped"):
        for name, each in found[origin].items():
            shares = f"{each['clip_share']:>8.1%}{each['frame_share']:>8.1%}"
            lines.append(f"{name:<16}{origin:<18}{shares}  {TARGETS.get(name, '')}".rstrip())
    for origin in ("cross_validation", "shipped"):
        kinds = found[origin]["noise"]["frame_share_by_kind"]
        lines.append(f"false frames by noise, {origin}: " + ", ".join(f"{k} {v:.1%}" for k, v in kinds.items()))
    lines.append("cost: " + ", ".join(f"{name} {share:.2%} of one core" for name, share in found["cost"].items()))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
