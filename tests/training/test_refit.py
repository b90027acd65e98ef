"""What refitting fusion and gates leaves in manifest, cards and pages."""

import shutil
from pathlib import Path

import msgspec
import pytest

from edge.perception.manifest import load_manifest

pytest.importorskip("torch")

from training.cards import refresh_cards
from training.errors import TrainingError
from training.models import write_manifest
from training.report import put_between

ROOT = Path(__file__).resolve().parents[2]


def test_refitted_manifest_and_cards_say_the_same(tmp_path):
    shutil.copytree(ROOT / "models_tflite", tmp_path, dirs_exist_ok=True)
    manifest = load_manifest(tmp_path)
    gates = tuple(
        msgspec.structs.replace(gate, threshold=0.1234) if gate.modalities == "face+speech" else gate
        for gate in manifest.gates
    )
    changed = msgspec.structs.replace(manifest, fusion_weights={"face": 0.111, "speech": 0.222}, gates=gates)
    write_manifest(changed, tmp_path)
    refresh_cards(tmp_path, changed)
    assert load_manifest(tmp_path) == changed
    for task in ("FACE", "SPEECH"):
        before = (ROOT / "models_tflite" / f"MODEL_CARD_{task}.md").read_text().splitlines()
        after = (tmp_path / f"MODEL_CARD_{task}.md").read_text().splitlines()
        news = [line for line, old in zip(after, before, strict=True) if line != old]
        assert len(news) == 2
        assert "0.1234" in news[0]
        assert "face 0.111, speech 0.222" in news[1]


def test_cards_that_ship_are_those_of_their_manifest(tmp_path):
    for folder in (ROOT / "models_tflite", ROOT / "cloud" / "models"):
        for card in folder.glob("MODEL_CARD_*.md"):
            shutil.copy(card, tmp_path)
        refresh_cards(tmp_path, load_manifest(folder))
        for card in folder.glob("MODEL_CARD_*.md"):
            assert (tmp_path / card.name).read_text() == card.read_text()


def test_a_section_is_replaced_between_its_marks_alone():
    page = "before\n<!-- fusion: begin -->\nold\n<!-- fusion: end -->\nafter\n"
    assert put_between(page, "fusion", "new\n") == page.replace("old", "new")
    with pytest.raises(TrainingError, match="temporal: begin"):
        put_between(page, "temporal", "new")
