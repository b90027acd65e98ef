"""The sign for the door: what it says in each mode, read back from the PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import matplotlib as mpl
import pytest
from pypdf import PdfReader

from edge.cli import main
from edge.config import build_config
from edge.errors import NoticeError
from edge.notice import BLANK, compose
from edge.notice_pdf import write_pdf
from edge.notice_texts import TEXTS, Lang
from edge.policy import decide
from edge.settings import Config

NOW = 1_800_000_000.0


def device(mode: str = "vehicle", **changes: dict[str, Any]) -> Config:
    values: dict[str, dict[str, Any]] = {
        "site": {"name": "depot", "mode": mode, "setting": "private", "jurisdiction": "US"},
        "privacy": {"offload": "crops", "basis": "safety"},
        "device": {"name": "van-17"},
        "camera": {"source": "picamera2"},
        "microphone": {"card": ""},
        "mqtt": {"broker": "mqtts://broker:8883"},
    }
    for section, keys in changes.items():
        values[section] = values.get(section, {}) | keys
    return build_config(values, environment={})


def words(config: Config, lang: Lang = "en") -> str:
    notice = compose(config, decide(config.declared_site(), now=NOW), lang=lang, now=NOW)
    lines = [sentence for _, sentences in notice.sections for sentence in sentences]
    return "\n".join([notice.title, *lines])


def test_every_language_has_every_text_in_letters_that_a_pdf_has() -> None:
    assert set(TEXTS) == set(get_args(Lang))
    for texts in TEXTS.values():
        assert texts.keys() == TEXTS["en"].keys()
        for key, text in texts.items():
            text.encode("latin-1")
            assert text.count("{") == TEXTS["en"][key].count("{"), key


def test_a_vehicle_says_what_may_be_sent() -> None:
    text = words(device())
    assert "nearest to the camera" in text
    assert "spectrogram" in text
    assert "48 x 48" in text
    assert "For safety" in text
    assert "No picture and no sound leaves" not in text


def test_without_offload_it_promises_that_nothing_of_the_kind_leaves() -> None:
    text = words(device(privacy={"offload": "never"}))
    assert "No picture and no sound leaves" in text
    assert "spectrogram" not in text


def test_a_classroom_speaks_of_the_room_and_of_no_person() -> None:
    text = words(device("classroom", privacy={"offload": "never", "k": 5, "aggregate_s": 120.0}))
    assert "No result is about one person" in text
    assert "Every 120 seconds" in text
    assert "fewer than 5" in text
    assert "nearest to the camera" not in text


def test_where_inference_is_prohibited_only_presence_is_claimed() -> None:
    config = device("classroom", site={"setting": "education", "jurisdiction": "DE"}, privacy={"basis": ""})
    text = words(config)
    assert "Faces are counted" in text
    assert "does not read their expression" in text
    assert "estimates" not in text


def test_off_and_an_ended_study_say_that_all_is_closed() -> None:
    study = {"consent_id": "c-1", "ethics_reference": "EC 4/26"}
    for config in (device("off"), device("research", privacy=study | {"consent_expires": NOW - 1.0})):
        assert "switched off" in words(config)
    running = words(device("research", privacy=study | {"consent_expires": NOW + 86_400.0}))
    assert "consent c-1, ethics approval EC 4/26, until 2027-01-16" in running


def test_only_what_is_connected_is_spoken_of() -> None:
    assert "Vocal tone is read here" in words(device(camera={"source": ""}))
    assert "it is connected to no service" in words(device(mqtt={"broker": ""}))
    assert "A light or a tone" in words(device(alert={"emotions": "angry"}))
    assert "A light or a tone" not in words(device("classroom", alert={"emotions": "angry"}))


@pytest.mark.parametrize("lang", get_args(Lang))
@pytest.mark.parametrize("mode", ["demo", "vehicle", "classroom", "off"])
def test_the_sign_is_one_page_that_says_it_all(tmp_path: Path, mode: str, lang: Lang) -> None:
    config = device(
        mode,
        site={"operator": "Nordwind Logistik GmbH, Hafenstraße 12", "contact": "datenschutz@example.org"},
        indicator={"pin": 17},
        mute={"pin": 27},
        alert={"emotions": "angry"},
    )
    notice = compose(config, decide(config.declared_site(), now=NOW), lang=lang, now=NOW)
    write_pdf(notice, tmp_path / "sign.pdf", lang=lang)
    reader = PdfReader(tmp_path / "sign.pdf")
    assert len(reader.pages) == 1
    width, height = (float(side) * 25.4 / 72 for side in reader.pages[0].mediabox[2:])
    assert (width, height) == pytest.approx((210, 297), abs=0.5)
    text = " ".join(reader.pages[0].extract_text().split())
    for _, sentences in notice.sections:
        for sentence in sentences:
            assert " ".join(sentence.split()) in text
    assert notice.footer in text


def test_the_command_writes_it_and_names_the_blanks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(
        '[site]\nname="a"\nmode="off"\nsetting="private"\njurisdiction="US"\n[privacy]\noffload="never"\n'
        '[device]\nname="a"\n'
    )
    out = tmp_path / "sign.pdf"
    assert main(["notice", "--config", str(config), "--out", str(out)]) == 0
    assert "site.operator is empty" in capsys.readouterr().out
    assert BLANK in PdfReader(out).pages[0].extract_text()
    assert main(["notice", "--config", str(config), "--out", str(tmp_path / "no" / "folder.pdf")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_names_that_helvetica_cannot_write_need_a_font(tmp_path: Path) -> None:
    config = device(site={"operator": "Śląskie Centrum"})
    notice = compose(config, decide(config.declared_site(), now=NOW), lang="en", now=NOW)
    with pytest.raises(NoticeError, match="--font"):
        write_pdf(notice, tmp_path / "sign.pdf", lang="en")
    with pytest.raises(NoticeError, match="no font that can be used"):
        write_pdf(notice, tmp_path / "sign.pdf", lang="en", font=tmp_path / "absent.ttf")
    dejavu = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    write_pdf(notice, tmp_path / "sign.pdf", lang="en", font=dejavu)
    assert "Śląskie Centrum" in PdfReader(tmp_path / "sign.pdf").pages[0].extract_text()
