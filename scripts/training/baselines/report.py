"""The baselines' section of docs/results.md: tables and sentences made from figures, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean
from typing import Any

from training.baselines.catalogue import BASELINES, PROTOCOLS
from training.errors import TrainingError

BEGIN = "<!-- baselines: begin -->"
END = "<!-- baselines: end -->"

Row = dict[str, Any]

FACE_HEAD = """\
| | FER2013 | FER+ | UAR, FER+ | FER+, held-back half | parameters | bytes | ms | epochs | CPU time |
|---|---|---|---|---|---|---|---|---|---|"""

SPEECH_HEAD = """\
| | UAR, speakers never heard | of actors 20, 21 | accuracy | random split | its RAVDESS clips | augmented first |
|---|---|---|---|---|---|---|"""

COST_HEAD = """\
| | parameters | bytes | features ms | net ms | epochs | CPU time |
|---|---|---|---|---|---|---|"""


def replace_section(page: str, text: str) -> str:
    """Return `page` with `text` between its two marks. Raises TrainingError if they are not there once, in order."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise TrainingError(f"results.md must have the lines {BEGIN} and {END} once each: that is where the table goes")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{text.strip()}\n{END}{after}"


def section(results: dict[str, list[Row]]) -> str:
    """Return the section as Markdown; `results` as from `compare.measure`."""
    parts = [
        "### Faces\n",
        f"Trained on FER2013 Training, measured on PublicTest ({_faces_n(results['face'])}).\n",
        FACE_HEAD,
        *[_face_line(row) for row in results["face"]],
        "",
        *_notes(results["face"]),
        "### Speech\n",
        *[f"- {_title(protocol)}: {about}." for protocol, about in PROTOCOLS.items()],
        "",
        SPEECH_HEAD,
        *[_speech_line(row) for row in results["speech"]],
        "",
        "![Accuracy under the random splits over accuracy for speakers never heard](baselines.png)\n",
        COST_HEAD,
        *[_cost_line(row) for row in results["speech"]],
        "",
        *_notes(results["speech"]),
        *_reading(results),
    ]
    return "\n".join(parts)


def _title(protocol: str) -> str:
    return {"independent": "Speakers never heard", "random": "Random split", "leak": "Augmented first"}[protocol]


def _faces_n(rows: list[Row]) -> str:
    figures = rows[0]["figures"]
    return (
        f"{figures['fer2013']['n']:,} images, {figures['ferplus']['n']:,} with a FER+ majority; "
        f"{figures['ferplus_held_back']['n']:,} of these in the half that Mien's models were not calibrated on"
    )


def _face_line(row: Row) -> str:
    figures = row["figures"]
    cells = [
        _name(row),
        _percent(figures["fer2013"]["accuracy"]),
        _percent(figures["ferplus"]["accuracy"]),
        _percent(figures["ferplus"]["uar"]),
        _percent(figures["ferplus_held_back"]["accuracy"]),
        *_size(row),
        f"{row['ms']:.2f}",
        *_effort(row),
    ]
    return _line(cells)


def _speech_line(row: Row) -> str:
    alone = row["figures"]["independent"]
    cells = [_name(row), *(_percent(alone[key]["uar"]) if key else _percent(alone["uar"]) for key in ("", "held_back"))]
    cells.append(_percent(alone["accuracy"]))
    random, leak = row["figures"].get("random"), row["figures"].get("leak")
    cells.append(_percent(random["accuracy"]) if random else "")
    cells.append(_percent(random["ravdess"]["accuracy"]) if random and "ravdess" in random else "")
    cells.append(_percent(leak["accuracy"]) if leak else "")
    return _line(cells)


def _cost_line(row: Row) -> str:
    return _line([_name(row), *_size(row), f"{row['features_ms']:.2f}", f"{row['ms']:.2f}", *_effort(row)])


def _size(row: Row) -> list[str]:
    return [f"{row['parameters']:,}", f"{row['bytes']:,}"]


def _effort(row: Row) -> list[str]:
    """Return epochs and processor time of training; of speech, under each protocol."""
    if row["ours"]:
        return ["", ""]
    if isinstance(row["epochs"], str):
        return [row["epochs"], f"{row['seconds']} s"]
    return [", ".join(row["epochs"].values()), f"{sum(row['seconds'].values())} s"]


def _notes(rows: list[Row]) -> list[str]:
    """Return what each of the papers' nets is, and how it differs."""
    about = [(row["name"], BASELINES[row["name"]].about, row["note"]) for row in rows if not row["ours"]]
    return [*[f"- {name}: {text}" + (f" (here: {note})." if note else ".") for name, text, note in about], ""]


def _reading(results: dict[str, list[Row]]) -> list[str]:
    """Return sentences whose every word but the figures would be the same for other figures."""
    papers = [row["figures"] for row in results["speech"] if not row["ours"]]
    lines = ["### Read from the figures\n"]
    for protocol in ("random", "leak"):
        gaps = [each[protocol]["accuracy"] - each["independent"]["accuracy"] for each in papers]
        lines.append(
            f"- {_title(protocol)} minus speakers never heard, accuracy of the papers' nets: "
            f"{_points(mean(gaps))} on average, {_points(min(gaps))} to {_points(max(gaps))}."
        )
    gaps = [each["random"]["ravdess"]["accuracy"] - each["independent"]["accuracy"] for each in papers]
    lines.append(f"- The first of these on RAVDESS clips alone: {_points(mean(gaps))} on average.")
    lines += _best(results["face"], "FER+ accuracy, held-back half", lambda row: row["figures"]["ferplus_held_back"])
    lines += _best(results["speech"], "UAR of actors 20 and 21", lambda row: row["figures"]["independent"]["held_back"])
    return [*lines, ""]


def _best(rows: list[Row], title: str, figures: Callable[[Row], Row]) -> list[str]:
    key = "uar" if title.startswith("UAR") else "accuracy"
    papers = max((row for row in rows if not row["ours"]), key=lambda row: figures(row)[key])
    ours = ", ".join(f"{row['name']} {_percent(figures(row)[key])}" for row in rows if row["ours"])
    return [f"- {title}: {ours}; best of the papers' nets {papers['name']} {_percent(figures(papers)[key])}."]


def _name(row: Row) -> str:
    return f"**{row['name']}**" if row["ours"] else row["name"]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(gap: float) -> str:
    return f"{100 * gap:+.1f} points"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
