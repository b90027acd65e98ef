"""What a user of `scripts/train` can get wrong: shown as one line, without a traceback."""

from __future__ import annotations


class TrainingError(Exception):
    """Data are missing, an argument makes no sense, or a checkpoint does not fit; says what, where and the fix."""
