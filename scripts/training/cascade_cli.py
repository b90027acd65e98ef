"""`scripts/evaluate cascade`: accuracy of device and cloud together, over the share that is offloaded."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.perception.manifest import load_manifest
from training.answers import Answers, face_answers, speech_answers
from training.cascade import Curve, curves, each_modality, gate_of
from training.cascade_checks import comparisons, kept
from training.cascade_packs import Source, find_faces, find_speech
from training.cascade_pages import Report, as_markdown, as_text
from training.errors import TrainingError
from training.faces import PACKS
from training.models import FOLDERS, ROOT
from training.report import RESULTS, check_docs, write_docs

DESCRIPTION = """\
How accurate device and cloud are together when 5, 10, ... 50 % of the answers are offloaded: those that the shipped
gate finds most worth asking about. For faces (FER+), speech, and seeded pairs of both (strangers, same emotion).

  scripts/evaluate cascade                         tables; half a minute
  scripts/evaluate cascade --json                  a JSON array, an object per modality and share
  scripts/evaluate cascade --data DIR              other packs of the same format (docs/data.md)
  scripts/evaluate cascade --face P.npz --speech S.zip
  scripts/evaluate cascade --docs                  write docs/results.md and docs/cascade.png anew

DIR holds face/*.npz and speech/*.zip with their .csv, or these files themselves. Packs and rows for training are never
measured; where there are several packs, one with `test` or `private` in its name is. Default: $MIEN_DATA_DIR, else
../shared/data beside the repository."""

PICTURE = "cascade.png"


def run(arguments: Sequence[str]) -> str:
    """Measure, draw and write what was asked for; return what belongs on stdout. Raises TrainingError or MienError."""
    options = _options(arguments)
    if options.docs:
        check_docs("cascade")  # before half a minute of measuring
    if options.plot is not None:
        options.plot.mkdir(parents=True, exist_ok=True)
    data = options.data or Path(os.environ.get("MIEN_DATA_DIR") or ROOT.parent / "shared" / "data")
    faces = find_faces(data, options.face, options.face_split)
    speech = find_speech(data, options.speech, options.speech_split)
    if faces is None and speech is None:
        raise TrainingError(
            f"no packs: {data} holds neither face/*.npz nor speech/*.zip with its .csv that is not for training. "
            "Name their folder with --data or MIEN_DATA_DIR, or the packs with --face and --speech"
        )
    report = measure(faces, speech)
    if options.plot is not None or options.docs:
        from training.plots_cascade import plot_cascade

        path = (RESULTS.parent if options.docs else options.plot) / PICTURE
        plot_cascade(report.whole, path)
        _say(f"wrote {path}")
    if options.docs:
        write_docs("cascade", f"{as_markdown(report)}\n\n![The cascade's curves]({PICTURE})")
    return json.dumps(as_json(report.whole)) if options.json else as_text(report)


def measure(faces: Source | None, speech: Source | None) -> Report:
    """Return all figures of the models that ship on these packs."""
    device, cloud = (load_manifest(FOLDERS[arch]) for arch in ("edge", "full"))
    folders = FOLDERS["edge"], FOLDERS["full"]
    for name, source in (("faces", faces), ("speech", speech)):
        _say(f"{name}: {source or 'no pack, left out'}")
    seen = None if faces is None else face_answers(faces.pack, *folders, split=faces.split)
    heard = None if speech is None else speech_answers(speech.pack, *folders, split=speech.split)
    answers = each_modality(seen, heard, device, cloud)
    _say("measuring")
    # What calibrated the models watched half of these packs; of any other pack all is held back already.
    halves: dict[str, Answers] = {}
    if _validation(faces) and heard is not None and heard.calibration.any() and seen is not None:
        halves = each_modality(seen.take(~seen.calibration), heard.take(~heard.calibration), device, cloud)
    gates = [gate_of(device, name) for name in halves]
    return Report(
        sources={name: source.pack.name for name, source in (("faces", faces), ("speech", speech)) if source},
        whole=curves(answers, device),
        held_back=curves(halves, device),
        comparisons=[each for name, one in answers.items() for each in comparisons(name, one)],
        gates=gates,
        kept=[kept(name, one, gate) for (name, one), gate in zip(halves.items(), gates, strict=True)],
    )


def as_json(found: Sequence[Curve]) -> list[dict[str, str | float | int]]:
    """Return an object per modality and share."""
    return [
        {
            "modality": each.modality,
            "share": share,
            "accuracy": accuracy,
            "device_accuracy": each.device,
            "cloud_accuracy": each.cloud,
            "n": each.n,
        }
        for each in found
        for share, accuracy in zip(each.shares, each.accuracy, strict=True)
    ]


def _validation(faces: Source | None) -> bool:
    return faces is not None and faces.pack.name == PACKS["validation"]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/evaluate cascade",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of packs")
    parser.add_argument("--face", type=Path, metavar="PACK", help="the .npz of faces instead")
    parser.add_argument("--speech", type=Path, metavar="PACK", help="the .zip of speech, its .csv beside it, instead")
    parser.add_argument("--face-split", metavar="S", help="only rows of this split; default: all")
    parser.add_argument("--speech-split", metavar="S", help="default: test, else val, else all but train")
    parser.add_argument("--json", action="store_true", help="one JSON array on stdout, progress on stderr")
    parser.add_argument("--plot", type=Path, metavar="DIR", help=f"draw the curves to DIR/{PICTURE}")
    parser.add_argument("--docs", action="store_true", help="write the section of docs/results.md and its picture")
    return parser.parse_args(arguments)


def _say(what: str) -> None:
    print(f"evaluate: {what}", file=sys.stderr)
