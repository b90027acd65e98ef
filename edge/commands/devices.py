"""`mien-edge devices`: lists cameras and microphones."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from edge.capture.devices import list_cameras, list_microphones


def execute(options: argparse.Namespace) -> int:
    """Print the devices, and what kept others from being found."""
    found = {"cameras": list_cameras(), "microphones": list_microphones()}
    if options.json:
        print(json.dumps({kind: asdict(listing) for kind, listing in found.items()}))
        return 0
    for kind, listing in found.items():
        print(f"{kind}:")
        for each in listing.devices:
            print(f"  {each.name}  ({each.kind}, {each.id})")
        if not listing.devices:
            print("  none found")
        for note in listing.notes:
            print(f"  note: {note}")
    return 0
