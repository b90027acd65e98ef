"""Train the voice activity network: `python -m training.vad --data DATA [--out edge/perception/vad.json]`.

First five folds for honest figures: each network is measured on noises, speakers and files that it never heard. Then
the network that ships, on everything but the RAVDESS validation actors; the figures of the folds are stored with it.
About ten minutes; with OPENBLAS_NUM_THREADS=1, since the matrices are too small to be shared between cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from edge.perception import vad
from training.errors import TrainingError
from training.vad_fit import fit
from training.vad_measure import Tally, tally_noises, tally_speech
from training.vad_scenes import FOLDS, Corpus, Scene, load_corpus, scene

PLAIN_WEIGHT = 8
"""Each plain clip is drawn as often as this many acted ones: nobody acts most of the time."""
TESS_STEP = 7
"""Of TESS, two women and one sentence, every seventh clip is enough."""


def main(arguments: list[str] | None = None) -> int:
    """Run the training; returns 0, or 1 where data are missing."""
    options = _options().parse_args(arguments)
    try:
        corpus = load_corpus(options.data)
    except TrainingError as error:
        print(f"vad: {error}", file=sys.stderr)
        return 1
    figures = cross_validate(corpus, scenes=options.scenes, epochs=options.epochs)
    print(json.dumps(figures, indent=1))
    net = fit(make_scenes(corpus, 0, options.scenes, seed=0), epochs=options.epochs, seed=0)
    options.out.write_text(dumped(net, figures), encoding="utf-8")
    return 0


def cross_validate(corpus: Corpus, *, scenes: int, epochs: int) -> dict[str, object]:
    """Return the figures over five folds, each measured by the network that did not train on it."""
    tallies = {
        name: Tally() for name in ("noise", "plain_10db", "plain_0db", "plain_clean", "acted_10db", "acted_clean")
    }
    for fold in range(1, FOLDS + 1):
        net = fit(make_scenes(corpus, fold, scenes, seed=fold), epochs=epochs, seed=fold)
        noises = [each for each in corpus.noises if each.fold == fold]
        plain = [each for each in corpus.plain if each.fold == fold] * 3
        acted = corpus.acted_validation[fold - 1 :: FOLDS]
        tally_noises(tallies["noise"], noises, net)
        for name, speech, snr_db in (
            ("plain_10db", plain, 10.0),
            ("plain_0db", plain, 0.0),
            ("plain_clean", plain[: len(plain) // 3], None),
            ("acted_10db", acted, 10.0),
            ("acted_clean", acted, None),
        ):
            tally_speech(tallies[name], speech, noises, snr_db=snr_db, seed=fold, net=net)
    return {name: tally.figures() for name, tally in tallies.items()}


def make_scenes(corpus: Corpus, left_out: int, count: int, *, seed: int) -> list[Scene]:
    """Return scenes from all that is not in fold `left_out`; 0 leaves out nothing."""
    rng = np.random.default_rng(seed)
    noises = [each.pcm for each in corpus.noises if each.fold != left_out]
    plain = [each.pcm for each in corpus.plain if each.fold != left_out]
    ravdess = [each.pcm for each in corpus.acted if each.name.startswith("ravdess")]
    tess = [each.pcm for each in corpus.acted if each.name.startswith("tess")]
    speech = plain * PLAIN_WEIGHT + ravdess + tess[::TESS_STEP]
    return [scene(rng, noises, speech) for _ in range(count)]


def dumped(net: vad.Network, figures: dict[str, object]) -> str:
    """Return the network as JSON, one row of weights per line."""
    layers = []
    for layer in net.layers:
        rows = ",\n  ".join(json.dumps([float(f"{x:.4g}") for x in row]) for row in layer.weight)
        bias = json.dumps([float(f"{x:.4g}") for x in layer.bias])
        layers.append(f'{{"offsets": {json.dumps(layer.offsets)}, "bias": {bias}, "weight": [\n  {rows}]}}')
    about = "Voice activity network of Mien, by scripts/training/vad.py. Figures: 5-fold cross-validation."
    head = f'{{"about": {json.dumps(about)},\n"figures": {json.dumps(figures)},\n"layers": [\n'
    return head + ",\n".join(layers) + "\n]}\n"


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="training.vad", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data packs (docs/data.md)")
    parser.add_argument("--out", type=Path, default=Path(vad.__file__).with_name(vad.WEIGHTS))
    parser.add_argument("--scenes", type=int, default=6000, help="scenes per network")
    parser.add_argument("--epochs", type=int, default=15)
    return parser


if __name__ == "__main__":
    sys.exit(main())
