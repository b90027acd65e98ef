"""What `scripts/evaluate fusion` says of its figures follows from the figures."""

from pathlib import Path

import msgspec
from training.fusion_pages import CLEAN, COMMON, FusionFigures, Report, findings, markdown

from edge.fusion import RULES
from edge.perception.manifest import load_manifest

ROOT = Path(__file__).resolve().parents[2]
CONDITIONS = (CLEAN, COMMON, "bad face", "bad face contradicts", "voice at 0 dB contradicts")


def report(accuracy: dict[tuple[str, str], float], slope: float = 0.0) -> Report:
    """Return figures of 0.5 everywhere but in `accuracy`, and one clip on which only `vote` is right."""
    rows = [
        FusionFigures(condition=condition, rule=rule, n=10, accuracy=value, uar=value, ece=0.1)
        for rule in (*RULES, "face alone", "speech alone")
        for condition in CONDITIONS
        for value in [accuracy.get((rule, condition), 0.5)]
    ]
    clips: list[dict[str, object]] = [
        {
            "clip": "crema_1.mp4",
            "rule": rule,
            "truth": "sad",
            "face": "sad",
            "speech": None,
            "fused": "sad" if rule == "vote" else "fear",
            "confidence": 0.4,
        }
        for rule in RULES
    ]
    manifest = load_manifest(ROOT / "models_tflite")
    assert manifest.fusion is not None
    speech = msgspec.structs.replace(manifest.fusion.reliability["speech"], slopes={"snr_db": slope})
    fit = msgspec.structs.replace(manifest.fusion, reliability=manifest.fusion.reliability | {"speech": speech})
    return Report(rows, clips, "YuNet", msgspec.structs.replace(manifest, fusion=fit), 10, 1)


def test_findings_are_of_the_figures():
    found = findings(report({("early", CLEAN): 0.9, ("mean", "bad face"): 0.2, ("attention", "bad face"): 0.7}))
    assert "fused 50.0% to 90.0%" in found[0]
    assert any("50.0% to 70.0%, early fusion 50.0%" in line and "alone 20.0% to 50.0%" in line for line in found)
    assert "snr_db 0: nothing was learned from them" in found[-2]
    assert found[-1] == "Real clips: the rules are right on 0 to 1 of 1"
    assert findings(report({}, slope=0.25))[-2].endswith("snr_db 0.25")


def test_findings_stand_under_the_tables():
    page = markdown(report({}))
    assert page.count("| log-linear |") == 3
    assert page.index("| vote | sad 0.4 | 1 of 1 |") < page.index("- Pairs as they are")
