"""What all checks know: the settings, what the policy allows now, and whether the daemon runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from edge.clock import SystemClock
from edge.config import Loaded, read_config
from edge.doctor.daemon import Daemon, find_daemon
from edge.errors import ConfigError
from edge.policy import Permissions, decide
from edge.settings import Config


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The ground on which the checks stand."""

    path: Path
    loaded: Loaded | None
    problem: ConfigError | None
    """Why there are no settings."""
    allowed: Permissions
    daemon: Daemon
    listen_s: float | None = None
    """Seconds to wait for a voice; None: only the level is measured."""
    look_s: float | None = None
    """Seconds to wait for a face; None: a glance."""

    @property
    def config(self) -> Config:
        """The settings, for checks that are not done without them."""
        assert self.loaded is not None
        return self.loaded.config


def survey(path: Path, *, listen_s: float | None, look_s: float | None) -> Ground:
    """Return the ground; never raises for settings that are wrong. Without settings nothing is allowed."""
    loaded, problem, allowed = None, None, Permissions(why="no settings: nothing may be opened")
    try:
        loaded = read_config(path)
    except ConfigError as error:
        problem = error
    else:
        clock = SystemClock()
        # As in the daemon: a clock that may be wrong cannot say that a consent still holds.
        now = clock.wall() if clock.synced() else math.inf
        allowed = decide(loaded.config.declared_site(), now=now)
    return Ground(
        path=path,
        loaded=loaded,
        problem=problem,
        allowed=allowed,
        daemon=find_daemon(path),
        listen_s=listen_s,
        look_s=look_s,
    )
