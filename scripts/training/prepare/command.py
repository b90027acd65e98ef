"""The command line of `scripts/train prepare`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import TrainingError
from training.prepare.output import Output
from training.prepare.releases import CORPORA
from training.prepare.report import Report, say

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]

ABOUT = """\
Make a pack, the one format that Mien trains and measures on, of an official release as it was downloaded.

  scripts/train prepare ravdess Audio_Speech_Actors_01-24.zip
  scripts/train prepare fer2013 ~/Downloads/fer2013 --out data
  scripts/train prepare folder my_faces --classes angry=colere,happy=joie
  scripts/train prepare mix speech/ravdess.zip speech/savee.zip --out speech/both.zip

SOURCE is a folder or a zip; nothing of it is changed or unpacked. Files that are missing, damaged or misnamed are told
one by one on standard error and in PACK.problems.csv beside the pack, and the good ones are packed all the same. The
pack appears when it is whole: after Ctrl-C there is none, or still the old one.

exit status: 0 all was well, 2 the pack was written but something was wrong, 1 nothing was written, 130 Ctrl-C
Where to get the releases, and under which terms: docs/data.md."""


CROPS = """

A picture of at most 64 pixels a side is a face already and only resized to 48x48, and so is every picture with
--cropped. Of a larger one the largest face that the detector finds is cut as on the device; where there is none, the
picture is listed and left out."""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add `prepare` with a command per corpus to the commands of `scripts/train`."""
    raw = argparse.RawDescriptionHelpFormatter
    prepare = commands.add_parser(
        "prepare", help="make packs of official releases", description=ABOUT, formatter_class=raw
    )
    corpora = prepare.add_subparsers(dest="corpus", required=True, metavar="CORPUS", title="what can be prepared")
    for name, corpus in CORPORA.items():
        faces = corpus.folder == "face" and name != "fer2013"
        about = f"{corpus.title} -> {corpus.folder}/{corpus.packs}\n\n{corpus.about}{CROPS if faces else ''}"
        parser = corpora.add_parser(name, help=corpus.title, description=about, formatter_class=raw)
        parser.add_argument("source", type=Path, metavar="SOURCE", help="folder or zip of the release")
        _add_out(parser, corpus.folder)
        if faces:
            _add_face_options(parser, name)
    joined = "Join packs, all .npz (faces) or all .zip (speech). Splits are kept; `corpus` says where a row comes from."
    parser = corpora.add_parser("mix", help="join several packs into one", description=joined, formatter_class=raw)
    parser.add_argument("packs", type=Path, nargs="+", metavar="PACK", help="packs; the csv of a .zip lies beside it")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the pack to write")


def run(options: argparse.Namespace) -> int:
    """Carry out a `prepare` command. Returns 0, 2 if something was wrong with the release, or 130.

    Raises TrainingError if nothing could be written.
    """
    report = Report()
    try:
        if options.corpus == "mix":
            return _mix(options, report)
        return _prepare(options, report)
    except KeyboardInterrupt:
        say("train: stopped; nothing was written")
        return 130


def _prepare(options: argparse.Namespace, report: Report) -> int:
    corpus = CORPORA[options.corpus]
    folder = _data_folder(options.out) / corpus.folder
    name = getattr(options, "name", None) or options.corpus
    with Output(folder) as output:
        count = _maker(options, name)(output, report)
        _problems(output, name, report)
    files = ", ".join(file for file in output.names if not file.endswith(".problems.csv"))
    return _tell(f"{folder}: {files} with {count} {corpus.unit}", folder, name, report)


def _mix(options: argparse.Namespace, report: Report) -> int:
    from training.prepare.mix import mix

    folder, name = options.out.parent, options.out.name
    if any(path.resolve() == options.out.resolve() for path in options.packs):
        raise TrainingError(f"{options.out} is one of the packs to be joined: name another file with --out")
    with Output(folder) as output:
        count = mix(options.packs, output, name, report)
    return _tell(f"{options.out}: {count} examples of {len(options.packs)} packs", folder, options.out.stem, report)


def _maker(options: argparse.Namespace, name: str) -> Callable[[Output, Report], int]:
    """Return what makes the pack; the readers are imported only now."""
    corpus, source = options.corpus, options.source
    if corpus == "fer2013":
        from training.prepare.fer2013 import prepare_fer2013

        return lambda output, report: prepare_fer2013(source, output, report)
    if corpus == "goemotions":
        from training.prepare.goemotions import prepare_goemotions

        return lambda output, report: prepare_goemotions(source, output, report)
    if CORPORA[corpus].folder == "speech":
        from training.prepare.speech import prepare_speech

        return lambda output, report: prepare_speech(corpus, source, output, report)
    from training.prepare.face_names import own_classes
    from training.prepare.faces import FaceJob, prepare_faces

    job = FaceJob(
        corpus=corpus,
        source=source,
        name=name,
        classes=own_classes(options.classes),
        cropped=options.cropped,
        yunet=options.yunet,
    )
    return lambda output, report: prepare_faces(job, output, report)


def _problems(output: Output, name: str, report: Report) -> None:
    file = f"{name}.problems.csv"
    if report.problems:
        output.partial(file).write_bytes(report.table())
    else:
        output.remove(file)


def _tell(made: str, folder: Path, name: str, report: Report) -> int:
    for line in report.lines():
        say(line)
    print(made)
    if not report.problems:
        return 0
    sys.stdout.flush()
    say(f"train: {len(report.problems)} problems ({report.summary()}), all in {folder / name}.problems.csv")
    return 2


def _data_folder(named: Path | None) -> Path:
    return named or Path(os.environ.get("MIEN_DATA_DIR") or ROOT.parent / "shared" / "data")


def _add_out(parser: argparse.ArgumentParser, folder: str) -> None:
    about = f"data folder, the pack goes to DIR/{folder} ($MIEN_DATA_DIR, else ../shared/data beside the repository)"
    parser.add_argument("--out", type=Path, metavar="DIR", help=about)


def _add_face_options(parser: argparse.ArgumentParser, corpus: str) -> None:
    parser.add_argument(
        "--classes", default="", metavar="OURS=THEIRS,...", help="odd class names: angry=colere,happy=joie"
    )
    parser.add_argument("--cropped", action="store_true", help="all pictures are faces already: only resize them")
    parser.add_argument(
        "--yunet", type=Path, metavar="FILE", help="YuNet's weights, to find faces better than Haar does"
    )
    parser.add_argument("--name", type=_name, metavar="NAME", help=f"of the pack ({corpus})")


def _name(text: str) -> str:
    if not text.replace("_", "").replace("-", "").isalnum():
        raise argparse.ArgumentTypeError(f"{text!r} is no name of letters, digits, - and _")
    return text
