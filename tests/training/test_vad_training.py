"""The training of the voice activity network: its gradients, its scenes, and that what it writes is what is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training.vad_fit import Fit
from training.vad_measure import Tally, mix, tally_noises
from training.vad_scenes import Item, frame_db, rms, scene, synthetic

from edge.perception import vad

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(3)
VOICE = (0.2 * np.sign(np.sin(2 * np.pi * 130 * np.arange(24_000) / 16_000))).astype(np.float32)
HISS = (0.1 * RNG.standard_normal(80_000)).astype(np.float32)


@pytest.mark.parametrize("length", [3, 15, 40])
def test_gradients_are_those_of_the_loss(length):
    state = Fit(29, seed=0)
    rows = RNG.standard_normal((2, length, 29)).astype(np.float32)
    label = (RNG.random((2, length)) < 0.5).astype(np.float32)

    def loss() -> float:
        odds, _, _ = state._forward(rows.astype(np.float64))
        return float(np.mean(np.logaddexp(0.0, odds) - label * odds))

    odds, seen, out = state._forward(rows)
    error = ((1.0 / (1.0 + np.exp(-odds)) - label) / label.size)[..., None]
    gradients = state._gradients(error, seen, out)
    for parameter, gradient in zip(state._parameters, gradients, strict=True):
        place = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        kept = parameter[place]
        parameter[place] = kept + 1e-3
        above = loss()
        parameter[place] = kept - 1e-3
        below = loss()
        parameter[place] = kept
        assert (above - below) / 2e-3 == pytest.approx(gradient[place], rel=0.05, abs=1e-4)


def test_scenes_are_labelled_frame_by_frame():
    rng = np.random.default_rng(0)
    scenes = [scene(rng, [HISS], [VOICE]) for _ in range(20)]
    for each in scenes:
        assert each.rows.shape == (len(each.label), 29)
        assert each.label.shape == each.weight.shape
        assert np.isfinite(each.rows).all()
    spoken = [each.label.mean() for each in scenes]
    assert min(spoken) == 0.0
    assert 0.1 < np.mean(spoken) < 0.6


def test_made_up_noises_are_finite_and_of_the_length_asked_for():
    rng = np.random.default_rng(0)
    for _ in range(30):
        noise = synthetic(rng, 16_000)
        assert noise.shape == (16_000,)
        assert np.isfinite(noise).all()
        assert np.abs(noise).max() < 2.0


FIT = """
import json, sys
import numpy as np
from training.vad import dumped
from training.vad_fit import fit
from training.vad_scenes import scene
from edge.perception import vad

voice, hiss = np.load(sys.argv[1]), np.load(sys.argv[2])
rng = np.random.default_rng(0)
net = fit([scene(rng, [hiss], [voice]) for _ in range(24)], epochs=60, seed=0)
with open(sys.argv[3], "w") as out:
    out.write(dumped(net, {"noise": 1}))
print(json.dumps([float(vad.speech_probability(pcm, net).mean()) for pcm in (voice, hiss)]))
"""


def test_a_small_fit_tells_a_buzz_from_hiss_and_is_read_as_it_was_stored(tmp_path, monkeypatch):
    """In a child process on one thread: on busy cores NumPy's threads wait for each other twenty times as long."""
    np.save(tmp_path / "voice.npy", VOICE)
    np.save(tmp_path / "hiss.npy", HISS)
    paths = [str(tmp_path / name) for name in ("voice.npy", "hiss.npy", "vad.json")]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"}
    ran = subprocess.run(
        [sys.executable, "-c", FIT, *paths], env=environment, capture_output=True, text=True, check=True
    )
    assert "epoch 60/60" in ran.stdout
    in_voice, in_hiss = json.loads(ran.stdout.splitlines()[-1])
    assert in_voice > 0.8
    assert in_hiss < 0.2
    monkeypatch.setattr(vad.resources, "files", lambda _: tmp_path)
    vad.network.cache_clear()
    try:
        assert float(vad.speech_probability(VOICE).mean()) == pytest.approx(in_voice, abs=1e-3)
        assert float(vad.speech_probability(HISS).mean()) == pytest.approx(in_hiss, abs=1e-3)
    finally:
        vad.network.cache_clear()


def test_the_mix_has_the_ratio_asked_for():
    mixed = mix(VOICE, HISS[: len(VOICE)], 10.0)
    assert 20 * np.log10(rms(VOICE) / rms(mixed - VOICE)) == pytest.approx(10.0, abs=0.01)


def test_a_tally_counts_clips_and_frames():
    tally = Tally()
    tally_noises(tally, [Item("hiss", "white", 1, HISS)] * 2)
    figures = tally.figures()
    assert (figures["clips"], figures["clip_share"], figures["frame_share"]) == (2, 0.0, 0.0)
    assert figures["frames"] == 2 * len(frame_db(HISS))
