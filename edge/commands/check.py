"""`mien-edge check`: says whether the configuration is right, and what it allows."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from edge.assemble import load_models, yunet_weights
from edge.clock import SystemClock
from edge.config import load_config
from edge.perception.detect import open_detector
from edge.policy import decide


def execute(options: argparse.Namespace) -> int:
    """Print what the configuration means. Raises ConfigError or ModelError for the first thing that is wrong."""
    config = load_config(options.config)
    models = load_models(config.models)
    detector = open_detector(yunet_weights(config.face))
    allowed = decide(config.declared_site(), now=SystemClock().wall())
    print(f"{options.config}: fine")
    print(f"policy: {allowed.why}")
    for name, value in asdict(allowed).items():
        if name != "why":
            print(f"  {'yes' if value else 'no':4}{name.replace('_', ' ')}")
    print(f"face detector: {detector.name}")
    for info in models.info():
        print(f"model: {info.name} {info.version} on {info.runtime}, sha256 {info.sha256[:12]}")
    for problem in models.problems:
        print(f"warning: going on without a model: {problem}")
    return 0
