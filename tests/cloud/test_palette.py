"""The colors of the emotions can be told apart with any kind of color vision."""

import itertools
import re

import numpy as np
import pytest

from cloud.api.pages import DASHBOARD
from edge.emotions import SPEECH_EMOTIONS

# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency", IEEE TVCG
# 15(6), 2009: severity 1.0, on linear RGB.
VISION = {
    "all three cones": np.eye(3),
    "no L cones": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no M cones": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no S cones": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
LEAST = 15.0
"""CIE 1976 color difference; about 2.3 are just noticeable side by side."""


def colors(scheme):
    """The linear RGB of each emotion, (8, 3)."""
    light, dark = (DASHBOARD / "static" / "base.css").read_text().split("@media (prefers-color-scheme: dark)")
    named = dict(re.findall(r"--(\w+): #(\w{6})", light))
    if scheme == "dark":
        named |= dict(re.findall(r"--(\w+): #(\w{6})", dark))
    rgb = np.array([[int(named[one][place : place + 2], 16) / 255 for place in (0, 2, 4)] for one in SPEECH_EMOTIONS])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(linear):
    """CIELAB of linear RGB, white D65."""
    share = linear @ XYZ.T / XYZ.sum(axis=1)
    root = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1)


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_two_emotions_look_alike(scheme, vision):
    seen = lab(np.clip(colors(scheme) @ np.array(VISION[vision]).T, 0, 1))
    for (one, here), (other, there) in itertools.combinations(zip(SPEECH_EMOTIONS, seen, strict=True), 2):
        assert np.linalg.norm(here - there) >= LEAST, f"{one} and {other} look alike"
