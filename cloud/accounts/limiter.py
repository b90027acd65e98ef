"""Slowing down who guesses passwords."""

from __future__ import annotations

from collections import OrderedDict

FAILURES = 5
"""Wrong passwords in a row for one login, or ten times as many from one address, before it has to wait."""

PER_ADDRESS = 10
WAIT_S = 60.0
"""After FAILURES; doubles with each further failure."""

LONGEST_WAIT_S = 900.0
REMEMBERED = 10_000
"""Logins and addresses; the oldest are forgotten first, so that guessing at many names costs no memory."""


class LoginLimiter:
    """Counts failures by login and by address. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, login: str, address: str, now: float) -> float:
        """Return how long to wait before the next try is looked at; 0 if now."""
        return max(self._wait(f"login {login}", 1, now), self._wait(f"address {address}", PER_ADDRESS, now))

    def failed(self, login: str, address: str, now: float) -> None:
        """Note a wrong password. An empty login or address is not counted."""
        for name in (f"login {login}" if login else "", f"address {address}" if address else ""):
            if not name:
                continue
            count, _ = self._failures.pop(name, (0, now))
            self._failures[name] = (count + 1, now)
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, login: str) -> None:
        """Note a right password: the login starts anew, the address does not."""
        self._failures.pop(f"login {login}", None)

    def _wait(self, name: str, times: int, now: float) -> float:
        count, last = self._failures.get(name, (0, now))
        over = count - FAILURES * times
        if over < 0:
            return 0.0
        return max(0.0, last + min(WAIT_S * 2.0 ** min(over, 10), LONGEST_WAIT_S) - now)
