"""The birth message: who this device is."""

from __future__ import annotations

import hashlib
import platform

import msgspec

from edge import __version__
from edge.assemble import Models
from edge.header import Headers
from edge.protocol import Birth
from edge.settings import Config


def birth_message(headers: Headers, config: Config, models: Models, sources: dict[str, str]) -> Birth:
    """Return the birth of this session; `sources` names the kind of source per modality."""
    settings = msgspec.json.encode(config, order="sorted")
    return Birth(
        **headers.next(),
        software=__version__,
        python=platform.python_version(),
        models=models.info(),
        gates=models.gates(config),
        sources=sources,
        config_sha256=hashlib.sha256(settings).hexdigest(),
    )


def source_kinds(config: Config) -> dict[str, str]:
    """Return the kinds of the configured sources, never their addresses, which may hold passwords."""
    source = config.camera.source
    kinds = {}
    if source:
        scheme = source.partition(":")[0]
        kinds["camera"] = scheme if scheme in {"picamera2", "file"} else "stream" if "://" in source else "v4l2"
    if config.microphone.card is not None:
        kinds["microphone"] = "portaudio"
    return kinds
