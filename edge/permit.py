"""What the policy says on this device right now: the declared site, the clock, and whether it is muted."""

from __future__ import annotations

from dataclasses import replace

from edge.clock import Clock
from edge.mute import Mute
from edge.policy import Permissions, Site, decide


class Permit:
    """Asks the policy whenever it is called. Safe to share.

    A consent is judged by a clock that is known to be right, and from then on by the monotonic clock: a device that
    loses its time server goes on, one whose clock is set back gains nothing. Until the clock was right for the first
    time since the start no consent counts.
    """

    def __init__(self, site: Site, *, clock: Clock, mute: Mute) -> None:
        self._site, self._clock, self._mute = site, clock, mute
        self._wall_at_0: float | None = None
        self._told = ""

    def __call__(self) -> Permissions:
        """Return what may run and leave now."""
        muted = self._mute.why()
        allowed = decide(self._site, now=self._now(), muted=bool(muted))
        return replace(allowed, why=f"{muted}: devices closed") if muted else allowed

    def news(self) -> str | None:
        """Return in words what the policy says, if that is not what it said at the last call."""
        why = self().why
        if why == self._told:
            return None
        self._told = why
        return why

    def _now(self) -> float | None:
        monotonic = self._clock.monotonic()
        if self._clock.synced():
            self._wall_at_0 = self._clock.wall() - monotonic
        return None if self._wall_at_0 is None else self._wall_at_0 + monotonic
