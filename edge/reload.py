"""What changed settings mean for a running daemon: what takes effect at once, and what waits for a restart. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from edge.settings import Config

NEEDS_RESTART = ("site.name", "device", "models", "indicator", "mqtt", "mute", "outbox")
"""Who the device is at the broker, what it keeps for it, and the models in memory: sections or keys."""


@dataclass(frozen=True)
class Plan:
    """What a reload does."""

    config: Config
    """The settings from now on: the new ones, except for what needs a restart."""
    live: tuple[str, ...]
    """Changed keys that take effect, such as `camera.fps`."""
    restart: tuple[str, ...]
    """Changed keys that do not until the daemon is restarted."""

    def __str__(self) -> str:
        said = f"in effect: {', '.join(self.live)}" if self.live else "nothing to change"
        return said + (f"; restart needed for: {', '.join(self.restart)}" if self.restart else "")


def plan_reload(old: Config, new: Config) -> Plan:
    """Return what it means to go from `old` to `new`. Names keys only, never values, which may be secret."""
    live, restart, sections = [], [], {}
    for section in msgspec.structs.fields(Config):
        before, after = getattr(old, section.name), getattr(new, section.name)
        kept = {}
        for field in msgspec.structs.fields(section.type):
            key = f"{section.name}.{field.name}"
            if getattr(before, field.name) == getattr(after, field.name):
                continue
            if section.name in NEEDS_RESTART or key in NEEDS_RESTART:
                restart.append(key)
                kept[field.name] = getattr(before, field.name)
            else:
                live.append(key)
        sections[section.name] = msgspec.structs.replace(after, **kept)
    return Plan(Config(**sections), tuple(live), tuple(restart))
