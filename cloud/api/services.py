"""What the routes work with. It hangs on the application's state; `Needs` and `services_of` hand it to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends
from sqlalchemy import Engine
from starlette.requests import HTTPConnection

from cloud.accounts.limiter import LoginLimiter
from cloud.analyse.jobs import Analyses
from cloud.commands import Commands
from cloud.counters import Counters
from cloud.live import Live

Checks = Callable[[], dict[str, bool]]
"""Says of each part of the service whether it works."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """The parts of a running service that the web side talks to."""

    engine: Engine
    live: Live
    counters: Counters
    checks: Checks
    broker: str
    """The address that the page tells those who have no device yet."""
    accounts: bool
    """False: whoever reaches the service is its admin."""
    open_registration: bool = False
    """Whether people without an invitation may ask for an account, which an admin then has to approve."""
    names: frozenset[str] = frozenset()
    """Host names that browsers may use, besides addresses and this machine's own."""
    secure: bool = False
    """Whether the page is reached by https, so that cookies may ask for it."""
    alert_channels: frozenset[str] = frozenset({"webhook"})
    """Ways by which this service can tell of alerts."""
    analyses: Analyses | None = None
    """None: this service only stores and shows."""
    commands: Commands | None = None
    """What asks devices for something. None: there is no broker, as in tests of what needs none."""
    limiter: LoginLimiter = field(default_factory=LoginLimiter)


def services_of(connection: HTTPConnection) -> Services:
    """Return the services of the application that answers a request or a socket."""
    return cast(Services, connection.app.state.services)


Parts = Annotated[Services, Depends(services_of)]
"""A route's parameter of this type gets the services."""
