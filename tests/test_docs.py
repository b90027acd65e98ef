from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

import pytest

import docs
from cloud import errors as cloud_errors
from edge.cli import _parser as edge_parser
from edge.errors import MienError

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


def _commands(parser: argparse.ArgumentParser) -> list[str]:
    (choices,) = (each.choices for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return list(choices)


@pytest.mark.parametrize("command", _commands(edge_parser()))
def test_every_edge_command_is_documented(command: str) -> None:
    assert f"mien-edge {command}" in (ROOT / "docs" / "commands.md").read_text()


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
