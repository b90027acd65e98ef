"""`mien-edge config show`: the settings in effect, where each comes from, and no secret."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge.config import SECTIONS, Loaded, Origin, read_config
from edge.redact import redacted


def execute(options: argparse.Namespace) -> int:
    """Print the settings as TOML with comments, or as one JSON object. Raises ConfigError if they are wrong."""
    loaded = read_config(options.config)
    if options.json:
        print(json.dumps(as_object(options.config, loaded)))
    else:
        print(as_toml(options.config, loaded), end="")
    return 0


def as_object(path: Path, loaded: Loaded) -> dict[str, Any]:
    """Return {"file", "settings": {section: {key: {"value", "origin", "place"}}}}."""
    settings: dict[str, Any] = {section: {} for section in SECTIONS}
    for section, key, value, origin in _each(loaded):
        settings[section][key] = {"value": value, "origin": origin.kind, "place": origin.place}
    return {"file": str(path), "settings": settings}


def as_toml(path: Path, loaded: Loaded) -> str:
    """Return the settings as TOML, each with a comment that says where it comes from."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for section, key, value, origin in _each(loaded):
        # TOML has no null: what is left out stands as a comment.
        text = f"{key} = {json.dumps(value, ensure_ascii=False)}" if value is not None else f"# {key} is left out"
        rows.setdefault(section, []).append((text, origin.place or origin.kind))
    width = max(len(text) for section in rows.values() for text, _ in section)
    out = [f"# The settings in effect: {path}, the environment, defaults. Secrets are shown as ***."]
    for section, lines in rows.items():
        out += ["", f"[{section}]", *(f"{text:{min(width, 50)}}  # {origin}" for text, origin in lines)]
    return "\n".join(out) + "\n"


def _each(loaded: Loaded) -> Iterator[tuple[str, str, Any, Origin]]:
    for section, kind in SECTIONS.items():
        for key in kind.__struct_fields__:
            value = getattr(getattr(loaded.config, section), key)
            yield section, key, redacted(key, value), loaded.origins[section, key]
