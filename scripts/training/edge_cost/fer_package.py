"""The fer package as it comes (pip install fer): Haar cascade on whole frames, its own quantised net, no sound.

Imports only what the package brings itself: it may live in an environment that Mien is not installed in.
"""

from __future__ import annotations

import cv2
import fer
from fer.fer import FER

from training.edge_cost.ways import Picture


class Fer:
    """Its detector with the default settings."""

    note = f"fer {fer.__version__}"

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        self._fer = FER()
        self.faces = 0
        """Found so far."""

    def see(self, picture: Picture) -> None:
        """Take one frame."""
        self.faces += len(self._fer.detect_emotions(picture.image))
