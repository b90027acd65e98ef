"""`mien-edge models fetch`: download and verify the weights that do not come with the package."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path

import requests

from edge.errors import ModelError
from edge.perception.detect import YUNET_SHA256
from edge.perception.fetched import YUNET_FILE, data_folder

YUNET_URL = f"https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/{YUNET_FILE}"
"""The file is in Git LFS; this address serves its content."""

TIMEOUT_S = 30.0
MAX_BYTES = 1 << 20


def execute(options: argparse.Namespace) -> int:
    """Fetch, verify, and put the file where `mien-edge` looks for it."""
    path = fetch_yunet(options.url or YUNET_URL, options.folder or data_folder())
    print(f"{path}: verified; mien-edge finds faces with it from now on")
    return 0


def fetch_yunet(url: str, folder: Path) -> Path:
    """Bring YuNet's weights to `folder` and return their path; nothing is left there unless the sha256 is right.

    `url` may be the path of a file. Raises ModelError if it cannot be read or is another file, or if the server cannot
    be reached, refuses, or sends another file.
    """
    return install_yunet(_download(url) if "://" in url else _read(Path(url)), folder, url)


def install_yunet(content: bytes, folder: Path, origin: str) -> Path:
    """Put YuNet's weights into `folder` and return their path. Raises ModelError if `content` is another file."""
    path = folder / YUNET_FILE
    digest = hashlib.sha256(content).hexdigest()
    if digest != YUNET_SHA256:
        raise ModelError(f"{origin} is a file of sha256 {digest}, not {YUNET_SHA256}", fix="Name another --url.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        fix = "Name a folder you may write with --folder."
        raise ModelError(f"{path} cannot be written: {os.strerror(error.errno or 0)}", fix=fix) from error
    return path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {os.strerror(error.errno or 0)}", fix="Check --url.") from error


def _download(url: str) -> bytes:
    print(f"fetching {url}", file=sys.stderr)
    content = bytearray()
    try:
        with requests.get(url, timeout=TIMEOUT_S, stream=True) as response:
            response.raise_for_status()
            for block in response.iter_content(1 << 16):
                content += block
                if len(content) > MAX_BYTES:
                    raise ModelError(f"{url} sends more than {MAX_BYTES} bytes", fix="Name another --url.")
    except requests.RequestException as error:
        fix = f"Check the network, or put the file there by hand and set MIEN__FACE__DETECTOR_MODEL ({YUNET_FILE})."
        raise ModelError(f"{url} cannot be fetched: {error}", fix=fix) from error
    return bytes(content)
