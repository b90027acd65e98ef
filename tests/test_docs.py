from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

import msgspec
import pytest

import docs
from cloud import errors as cloud_errors
from cloud.cli import _parser as cloud_parser
from cloud.cli import main as cloud_main
from edge import settings
from edge.cli import _parser as edge_parser
from edge.cli import main as edge_main
from edge.config import SECTIONS
from edge.errors import MienError
from edge.expected import expected

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("path", docs.pages(), ids=lambda path: path.name)
def test_made_pages_are_up_to_date(path: Path) -> None:
    assert path.exists(), "run scripts/docs"
    assert path.read_bytes() == docs.pages()[path], "run scripts/docs"


def _codes(kind: type[MienError]) -> set[str]:
    return {kind.code}.union(*(_codes(child) for child in kind.__subclasses__()))


def test_every_error_code_is_documented() -> None:
    assert issubclass(cloud_errors.StoreError, MienError)  # imported, so that its codes are in the tree
    text = (ROOT / "docs" / "errors.md").read_text()
    assert {code for code in _codes(MienError) if f"`{code}`" not in text} == set()


UNITS = re.compile(
    r"seconds?|Seconds|Milliseconds|Hours|Megabytes|Bytes|Pixels|Frames|frequency|Degrees|Probability|[Rr]equests"
    r"|Unix time|faces|Share|Volts|GPIO|[Dd]ecibel|[Pp]ort|[Nn]umber|minutes|[Mm]etres|days|times|level"
)


@pytest.mark.parametrize(
    ("section", "key"), [(section, key) for section in SECTIONS for key in SECTIONS[section].__struct_fields__]
)
def test_every_setting_is_explained(section: str, key: str) -> None:
    _, fields = docs._classes(settings)[SECTIONS[section].__name__]
    (field,) = (each for each in msgspec.structs.fields(SECTIONS[section]) if each.name == key)
    sentence = fields[key][1]
    assert sentence.endswith("."), f"{section}.{key} needs a sentence below it in edge/settings.py"
    may_be = expected(field.type)
    if may_be.startswith(("a number", "a whole number")):
        assert UNITS.search(sentence), f"{section}.{key}: in which unit?"
        assert re.search(r"\d", may_be) or key == "consent_expires", f"{section}.{key}: in which range?"
    if field.required:
        assert (section, key) in docs.example_keys(), f"{section}.{key} is required and must be in the example"
    row = re.search(rf"(?ms)^## \[{section}\]$.*?^(\| `{key}` .*?)$", (ROOT / "docs" / "configuration.md").read_text())
    assert row, f"{section}.{key} is not in docs/configuration.md"
    assert ((section, key) in docs.example_keys()) != ("*Advanced.*" in row.group(1))


def _parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return every parser below and including this one, by its whole name, such as "mien-edge models fetch"."""
    found = {parser.prog: parser}
    for each in parser._actions:
        if isinstance(each, argparse._SubParsersAction):
            for child in each.choices.values():
                found |= _parsers(child)
    return found


PARSERS = _parsers(edge_parser()) | _parsers(cloud_parser())
COMMANDS = [name for name, each in PARSERS.items() if each._subparsers is None]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert f"`{command}" in (ROOT / "docs" / "commands.md").read_text()


@pytest.mark.parametrize("command", PARSERS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    main = {"mien-edge": edge_main, "mien-cloud": cloud_main}[command.split(maxsplit=1)[0]]
    with pytest.raises(SystemExit) as ended:
        main([*command.split()[1:], "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for action in PARSERS[command]._actions:
        assert action.help or isinstance(action, argparse._SubParsersAction), f"{action.dest} says nothing of itself"
        assert all(option in said for option in action.option_strings)


def test_every_documented_command_exists() -> None:
    known = set(PARSERS)
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for program, words in re.findall(r"`(mien-edge|mien-cloud)((?: [a-z][a-z-]*)*)", page.read_text()):
            named = [program, *words.split()]
            while len(named) > 1 and " ".join(named) not in known:
                named.pop()  # the rest are its arguments
            assert PARSERS[" ".join(named)]._subparsers is None or not words, (
                f"{page.name}: no command {program}{words}"
            )


@pytest.mark.parametrize(
    "path", [each for each in (ROOT / "scripts").iterdir() if each.is_file()], ids=lambda p: p.name
)
def test_every_script_is_documented_and_can_be_run(path: Path) -> None:
    assert f"scripts/{path.name}" in (ROOT / "docs" / "commands.md").read_text()
    assert os.access(path, os.X_OK)


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
