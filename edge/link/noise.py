"""Keeping the journal readable when something goes wrong all the time."""

from __future__ import annotations


def worth_logging(count: int) -> bool:
    """Return whether the `count`-th occurrence deserves a line: the first, second, fourth, eighth ... does."""
    return count & (count - 1) == 0
