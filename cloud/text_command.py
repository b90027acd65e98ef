"""`mien-cloud text`: the text model at a terminal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edge.errors import ConfigError

if TYPE_CHECKING:
    from cloud.inference.text import TextPart, TextResult

DESCRIPTION = """\
Name the emotion that an English text expresses, with VADER's polarity of its words beside it. Nothing leaves this
machine. What is written is not what is felt; docs and cloud/models/MODEL_CARD_TEXT.md say how often it is wrong."""

EPILOG = """\
examples:
  mien-cloud text "I can't believe you did that!"
  mien-cloud text --json - < letter.txt
      one JSON object; `-` reads standard input
  mien-cloud text --sentiwordnet SentiWordNet_3.0.0.txt "What a lovely day."
      with the polarity of SentiWordNet too; its file is not part of Mien
"""

BAR = 24


def add_parser(commands: Any, models: Path) -> None:
    """Add the command to the parsers of `mien-cloud`; `models` is the folder that holds Mien's own."""
    parser = commands.add_parser(
        "text",
        help="the emotion and polarity of a text",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("text", help="the text, in quotes; `-`: standard input")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    about = "SentiWordNet_3.0.0.txt, to have its polarity as well"
    parser.add_argument("--sentiwordnet", type=Path, metavar="FILE", help=about)
    about = "folder with the text model and its manifest.json (Mien's own)"
    parser.add_argument("--models", type=Path, default=models / "text", metavar="DIR", help=about)
    parser.set_defaults(run=run, verbose=False)


def run(options: argparse.Namespace) -> int:
    """Judge the text and print; return the exit status. Raises MienError for what the user can mend."""
    from cloud.inference.text import TextModel  # late: --help need not wait for the model's runtime

    text = _standard_input() if options.text == "-" else options.text
    result = TextModel(options.models, sentiwordnet=options.sentiwordnet).analyse(text)
    if options.json:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    else:
        sys.stdout.write("\n".join(_lines(result)) + "\n")
    return 0


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"standard input is not UTF-8: {error}", fix="Convert the text, e.g. with iconv.") from error


def _lines(result: TextResult) -> list[str]:
    lines = [f"{result.label}, {result.confidence:.0%} sure{' - UNSURE' if result.unsure else ''}"]
    if result.unsure:
        lines.append(f"  {_why(result)}")
    ranked = sorted(result.distribution.probs.items(), key=lambda each: -each[1])
    lines += [f"  {label:10}{'#' * round(value * BAR):{BAR}} {value:6.1%}" for label, value in ranked]
    one = result.polarity
    words = f"{one.positive:.0%} positive, {one.neutral:.0%} neutral, {one.negative:.0%} negative"
    lines.append(f"polarity (VADER): {one.compound:+.2f}, {words}")
    if result.sentiwordnet is not None:
        two = result.sentiwordnet
        lines.append(
            f"polarity (SentiWordNet): +{two.positive:.2f} -{two.negative:.2f} over {two.words} words that it knows"
        )
    if len(result.parts) > 1:
        lines.append(f"sentence by sentence, for it is long ({len(result.parts)}):")
        lines += [_part(part) for part in result.parts]
    return lines


def _why(result: TextResult) -> str:
    if result.threshold is not None and result.confidence < result.threshold:
        return f"{result.threshold:.0%} or more would count as sure"
    if result.threshold is None:
        return "this model's errors are not bounded at any confidence"
    return f"only {result.known_words:.0%} of the words are known: is it English?"


def _part(part: TextPart) -> str:
    return f"  {part.label:10}{part.confidence:4.0%} {part.polarity.compound:+.2f}  {part.text}"
