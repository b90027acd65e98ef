"""How a model does on a pack that was changed in a defined way: what faces and speech have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from training.calibrate import expected_calibration_error
from training.confusion import unweighted_recall

UNCHANGED = "unchanged"
SEED = 1


@dataclass(frozen=True, kw_only=True)
class RobustnessFigures:
    """One condition at one level."""

    condition: str
    level: float | None
    """In `unit`; None where the condition has no levels."""
    unit: str
    n: int
    """Examples recognised: all, or the faces that a detector found."""
    accuracy: float | None
    """None where n is 0; so are the next three."""
    uar: float | None
    ece: float | None
    accuracy_unchanged: float | None
    """Of the same n examples, unchanged: faces that a detector finds are also easier to recognise."""
    found: float | None
    """Share of the faces that the detector found; None where none searched."""

    @property
    def title(self) -> str:
        """Level and unit in words."""
        return "" if self.level is None else f"{self.level:g} {self.unit}".strip()


def figures(
    condition: str,
    level: float | None,
    unit: str,
    probabilities: NDArray[np.float32],
    truth: NDArray[np.int64],
    unchanged: NDArray[np.float32],
    *,
    found: NDArray[np.bool_] | None = None,
) -> RobustnessFigures:
    """Return the figures of `probabilities`, (n, labels), of changed examples.

    `truth` (N,) and `unchanged` (N, labels), the probabilities before the change, are those of all examples; `found`
    (N,) marks the n that there are after it, None where that is all.
    """
    share = None
    if found is not None:
        truth, unchanged, share = truth[found], unchanged[found], float(found.mean())
    some = len(truth) > 0
    chosen = probabilities.argmax(axis=1) if some else truth
    return RobustnessFigures(
        condition=condition,
        level=level,
        unit=unit,
        n=len(truth),
        accuracy=float((chosen == truth).mean()) if some else None,
        uar=unweighted_recall(chosen, truth) if some else None,
        ece=expected_calibration_error(probabilities, truth) if some else None,
        accuracy_unchanged=float((unchanged.argmax(axis=1) == truth).mean()) if some else None,
        found=share,
    )


def robustness_json(rows: Sequence[RobustnessFigures]) -> list[dict[str, object]]:
    """Return the rows as they stand in the JSON object."""
    return [asdict(row) for row in rows]


def robustness_table(rows: Sequence[RobustnessFigures]) -> str:
    """Return the rows for people at a terminal; `lost` is in points, against the same examples unchanged."""
    lines = ["", f"{'condition':24}{'level':>18}{'n':>7}{'found':>8}{'accuracy':>10}{'lost':>7}{'UAR':>8}{'ECE':>8}"]
    for row in rows:
        found, accuracy, lost, uar, ece = _cells(row)
        lines.append(f"{row.condition:24}{row.title:>18}{row.n:>7}{found:>8}{accuracy:>10}{lost:>7}{uar:>8}{ece:>8}")
    return "\n".join(lines)


def robustness_markdown(rows: Sequence[RobustnessFigures]) -> str:
    """Return the rows as a table for a model card; the share found only where a detector searched."""
    searched = any(row.found is not None for row in rows)
    head = ["condition", "level", "n", *(["found"] if searched else []), "accuracy", "points lost", "UAR", "ECE"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        found, *rest = _cells(row)
        cells = [row.condition, row.title, str(row.n), *([found] if searched else []), *rest]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def by_condition(rows: Sequence[RobustnessFigures]) -> Iterator[tuple[str, list[RobustnessFigures]]]:
    """Yield the conditions and their rows, without the unchanged pack."""
    changed = (row for row in rows if row.condition != UNCHANGED)
    for condition, group in groupby(changed, key=lambda row: row.condition):
        yield condition, list(group)


def _cells(row: RobustnessFigures) -> tuple[str, str, str, str, str]:
    found = "" if row.found is None else f"{row.found:.1%}"
    if row.accuracy is None or row.uar is None or row.ece is None or row.accuracy_unchanged is None:
        return found, "-", "-", "-", "-"
    lost = "" if row.condition == UNCHANGED else f"{100 * (row.accuracy_unchanged - row.accuracy):.1f}"
    return found, f"{row.accuracy:.1%}", lost, f"{row.uar:.1%}", f"{row.ece:.3f}"
