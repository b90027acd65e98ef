"""`scripts/bench evidence`: what asking the cloud about one window costs in bytes, and what packing it saves."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.assemble import load_models
from edge.clock import SystemClock, new_id
from edge.commands.replay import DEMO_DEVICE
from edge.config import build_config
from edge.errors import CaptureError
from edge.header import Headers
from edge.link.evidence import build_evidence
from edge.perception.face import EVIDENCE_CROPS
from edge.perception.wire import LOG_MEL_SCALE
from edge.protocol import MAX_EVIDENCE, AnyMessage, Evidence, Mode, encode
from edge.replay import Player
from training.errors import TrainingError
from training.models import ROOT
from training.packs import read_face_pack, read_speech_pack

WINDOWS = 500
SEED = 20
Pixels = NDArray[np.uint8]
Parts = list[tuple[list[Pixels], NDArray[np.float32]]]
"""Crops (48, 48) and log-mel (186, 64) of one window each."""

HEAD = ("windows of", "n", "with a voice", "crops, mean", "p50 B", "p95 B", "max B", "left out")
CODEC_HEAD = ("codec", "crop p50 B", "p95 B", "log-mel p50 B", "p95 B", "pack ms", "unpack ms")


def data_folder() -> Path:
    """Return $MIEN_DATA_DIR, else ../shared/data beside the repository."""
    return Path(os.environ.get("MIEN_DATA_DIR") or ROOT.parent / "shared" / "data")


def pack_parts(data: Path, count: int) -> Parts:
    """Return `count` windows of validation examples: crops of FER2013's, drawn at random, and a log-mel of RAVDESS's.

    The crops of one window are of different people: each is packed alone, so that changes nothing. Raises
    TrainingError where a pack is missing.
    """
    for path in (data / "face" / "fer2013_public.npz", data / "speech" / "ravdess.zip"):
        if not path.exists():
            raise TrainingError(f"no data: {path} is missing. Set MIEN_DATA_DIR, or make the packs (docs/data.md)")
    faces = read_face_pack(data / "face" / "fer2013_public.npz", labels="fer2013", split=None).inputs
    tones = read_speech_pack(data / "speech" / "ravdess.zip", split="val").inputs
    rng = np.random.default_rng(SEED)
    pixels = np.rint(faces * 255).astype(np.uint8)
    drawn = rng.integers(0, len(pixels), (count, EVIDENCE_CROPS))
    return [(list(pixels[three]), tones[number % len(tones)]) for number, three in enumerate(drawn)]


def pack_evidence(parts: Parts) -> list[Evidence]:
    """Return evidence as the device builds it of such parts."""
    headers = _headers("demo")
    models = load_models(build_config(DEMO_DEVICE, environment={}).models)
    entries = [model.entry for model in (models.face, models.speech) if model is not None]
    made = (
        build_evidence(
            headers,
            reading_id=new_id(),
            crops=crops,
            face_quality=0.8,
            log_mel=log_mel,
            voiced_share=0.8,
            models=entries,
        )
        for crops, log_mel in parts
    )
    return [evidence for evidence in made if evidence is not None]


class _Asked:
    """An outlet that is always there, and keeps what it is asked."""

    cloud_present = True

    def __init__(self) -> None:
        self.evidence: list[Evidence] = []

    def publish(self, kind: str, message: AnyMessage) -> None:
        """Drop it."""

    def request(self, evidence: Evidence) -> bool:
        """Keep it."""
        self.evidence.append(evidence)
        return True


def clip_evidence(clips: Sequence[Path], weights: str) -> list[Evidence]:
    """Return what a device would ask about these clips if it were sure of nothing and had no budget.

    `weights` is the path of YuNet's; empty: as the device finds it. Raises TrainingError naming a clip that cannot be
    played.
    """
    config = build_config(
        DEMO_DEVICE
        | {
            "face": {"detect_every": 1, "detector_model": weights},
            "gate": {"requests_per_minute": 1e9, "bytes_per_minute": 1e12},
        },
        environment={},
    )
    models = load_models(config.models)
    unsure = msgspec.structs.replace(models.manifest, gates=())
    outlet, mode = _Asked(), config.site.mode
    problems: list[str] = []

    def failed(name: str, error: CaptureError) -> None:
        problems.append(f"{name}: {error}")

    player = Player(
        config,
        type(models)(unsure, models.face, models.speech),
        outlet=outlet,
        headers=_headers(mode),
        clock=SystemClock(),
        on_reading=lambda *_: None,
        on_failure=failed,
    )
    for clip in clips:
        player.play(str(clip))
    if problems:
        raise TrainingError("; ".join(problems))
    return outlet.evidence


def _headers(mode: Mode) -> Headers:
    return Headers(session=1, mode=mode, clock=SystemClock())


def figures(name: str, evidence: Sequence[Evidence], crops_meant: int | None = None) -> dict[str, Any]:
    """Return bytes per message; `crops_meant` is how many crops there would be if none were left out for size."""
    sizes = [len(encode(each)) for each in evidence]
    crops = sum(len(each.crops) for each in evidence)
    return {
        "windows_of": name,
        "n": len(sizes),
        "with_voice": sum(each.log_mel is not None for each in evidence),
        "crops_mean": crops / len(sizes),
        "p50_bytes": int(np.percentile(sizes, 50)),
        "p95_bytes": int(np.percentile(sizes, 95)),
        "max_bytes": max(sizes),
        "crops_left_out": None if crops_meant is None else crops_meant - crops,
        "limit_bytes": MAX_EVIDENCE,
    }


def measure(data: Path, parts: Parts, weights: str) -> list[dict[str, Any]]:
    """Return `figures` of the real clips (where there are any) and of `parts`, the packs' validation examples."""
    rows = []
    clips = sorted((data / "clips").glob("*.mp4"))
    if clips:
        asked = clip_evidence(clips, weights)
        if asked:
            rows.append(figures(f"{len(clips)} real clips", asked))
    rows.append(figures("validation examples", pack_evidence(parts), len(parts) * EVIDENCE_CROPS))
    return rows


Codec = tuple[Callable[[Pixels], bytes], Callable[[bytes, tuple[int, int]], Pixels]]


def _image(ending: str, *options: int) -> Codec:
    def pack(pixels: Pixels) -> bytes:
        return cv2.imencode(ending, pixels, options)[1].tobytes()

    def unpack(packed: bytes, _: tuple[int, int]) -> Pixels:
        image = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        return np.asarray(image, np.uint8)

    return pack, unpack


def _unzip(packed: bytes, shape: tuple[int, int]) -> Pixels:
    return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(shape)


def _pack_rows(pixels: Pixels) -> bytes:
    return zlib.compress(np.diff(pixels, axis=0, prepend=np.uint8(0)).tobytes(), 9)


def _unpack_rows(packed: bytes, shape: tuple[int, int]) -> Pixels:
    return np.cumsum(_unzip(packed, shape), axis=0, dtype=np.uint8)


CODECS: dict[str, Codec] = {
    "none": (lambda pixels: pixels.tobytes(), lambda packed, shape: np.frombuffer(packed, np.uint8).reshape(shape)),
    "zlib": (lambda pixels: zlib.compress(pixels.tobytes(), 9), _unzip),
    "zlib of row differences": (_pack_rows, _unpack_rows),
    "PNG": _image(".png", cv2.IMWRITE_PNG_COMPRESSION, 9),
    "WebP, lossless": _image(".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
}


def measure_codecs(parts: Parts) -> list[dict[str, Any]]:
    """Return bytes of crops and log-mels, and ms to pack and unpack one window of both, codec by codec."""
    crops = [crop for three, _ in parts for crop in three]
    mels = [(np.rint(log_mel / LOG_MEL_SCALE) + 128).astype(np.uint8) for _, log_mel in parts]
    return [_codec_figures(name, codec, crops, mels) for name, codec in CODECS.items()]


def _codec_figures(name: str, codec: Codec, crops: list[Pixels], mels: list[Pixels]) -> dict[str, Any]:
    pack, unpack = codec
    pictures = crops + mels
    started = time.process_time()
    packed = [pack(picture) for picture in pictures]
    between = time.process_time()
    back = [unpack(data, picture.shape) for data, picture in zip(packed, pictures, strict=True)]
    ended = time.process_time()
    if not all(np.array_equal(mine, theirs) for mine, theirs in zip(pictures, back, strict=True)):
        raise TrainingError(f"{name} does not give back what went in")
    sizes = [len(data) for data in packed]
    crop_sizes, mel_sizes = sizes[: len(crops)], sizes[len(crops) :]
    return {
        "codec": name,
        "crop_p50_bytes": int(np.percentile(crop_sizes, 50)),
        "crop_p95_bytes": int(np.percentile(crop_sizes, 95)),
        "log_mel_p50_bytes": int(np.percentile(mel_sizes, 50)),
        "log_mel_p95_bytes": int(np.percentile(mel_sizes, 95)),
        "pack_ms": 1e3 * (between - started) / len(mels),
        "unpack_ms": 1e3 * (ended - between) / len(mels),
    }


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row of `figures` under HEAD."""
    return (
        row["windows_of"],
        str(row["n"]),
        str(row["with_voice"]),
        f"{row['crops_mean']:.2f}",
        f"{row['p50_bytes']:,}",
        f"{row['p95_bytes']:,}",
        f"{row['max_bytes']:,}",
        "" if row["crops_left_out"] is None else str(row["crops_left_out"]),
    )


def codec_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row of `measure_codecs` under CODEC_HEAD."""
    keys = ("crop_p50_bytes", "crop_p95_bytes", "log_mel_p50_bytes", "log_mel_p95_bytes")
    sizes = tuple(f"{row[key]:,}" for key in keys)
    return (row["codec"], *sizes, f"{row['pack_ms']:.2f}", f"{row['unpack_ms']:.2f}")
