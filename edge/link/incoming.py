"""What comes in: verdicts, commands, the cloud's heartbeat. Whatever else arrives is counted and dropped."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from edge.clock import Clock
from edge.errors import BadTopic, ProtocolError
from edge.link.connection import Handlers
from edge.link.evidence import Pending
from edge.link.noise import worth_logging
from edge.protocol import (
    CLOUD,
    CLOUD_STALE_S,
    PREFIX,
    CloudAvailability,
    Command,
    Topic,
    Verdict,
    decode,
    parse_topic,
    topic,
)

log = logging.getLogger(__name__)


class CloudPresence:
    """Whether a cloud worker was heard lately, by our own monotonic clock: the cloud's time stamps may be wrong."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = float("-inf")

    def heard(self, message: CloudAvailability) -> None:
        """Take a heartbeat; `stopped`, or a cloud without workers, counts at once."""
        there = message.state == "online" and message.workers > 0
        self._until = self._clock.monotonic() + CLOUD_STALE_S if there else float("-inf")

    def lost(self) -> None:
        """Note that the connection is gone, so that nothing can be heard."""
        self._until = float("-inf")

    @property
    def present(self) -> bool:
        """Whether the last heartbeat is younger than 45 s."""
        return self._clock.monotonic() <= self._until


class Incoming:
    """Reads messages for one device. Called from paho's network thread; nothing that arrives makes it raise.

    `counts` has `verdicts` (in time), `verdicts_refused` (those of them that refuse to judge), `verdicts_late`,
    `verdicts_unknown` (nobody asked, or a second answer), `commands`, and `ignored` (garbage, oversize, another's,
    another version's).
    """

    def __init__(
        self,
        *,
        site: str,
        device: str,
        clock: Clock,
        on_verdict: Callable[[Verdict], None],
        on_command: Callable[[Command], None],
    ) -> None:
        self._site, self._device, self._clock = site, device, clock
        self._on_verdict, self._on_command = on_verdict, on_command
        self.cloud = CloudPresence(clock)
        self.pending = Pending()
        self.counts: Counter[str] = Counter()

    @property
    def filters(self) -> list[str]:
        """What to subscribe to."""
        commands = f"{PREFIX}/{self._site}/{self._device}/command/+"
        return [topic(self._site, CLOUD, "availability"), topic(self._site, self._device, "verdict"), commands]

    def handle(self, text: str, payload: bytes) -> None:
        """Take one message."""
        try:
            self._dispatch(self._ours(text), payload)
        except ProtocolError as error:
            self.counts["ignored"] += 1
            if worth_logging(self.counts["ignored"]):
                log.warning("ignored message %d, on %.120r: %.200s", self.counts["ignored"], text, error)
        except Exception:
            # A mistake in somebody's callback must not end paho's thread, and with it the link, without a word.
            self.counts["ignored"] += 1
            log.exception("handling a message on %.120r failed", text)

    def _ours(self, text: str) -> Topic:
        parsed = parse_topic(text)
        if parsed.site != self._site or parsed.device not in (self._device, CLOUD):
            raise BadTopic(f"{text!r} is not addressed to {self._site}/{self._device}")
        return parsed

    def _dispatch(self, parsed: Topic, payload: bytes) -> None:
        if parsed.device == CLOUD:
            self.cloud.heard(decode(CloudAvailability, payload))
        elif parsed.spec.kind == "verdict":
            self._verdict(decode(Verdict, payload))
        elif parsed.spec.kind == "command":
            command = decode(Command, payload)
            self.counts["commands"] += 1
            self._on_command(command)
        else:
            raise BadTopic(f"a device is not told its own {parsed.spec.kind}")

    def _verdict(self, verdict: Verdict) -> None:
        answer = self.pending.answered(verdict.reading_id, now=self._clock.monotonic())
        if answer == "in time":
            self.counts["verdicts"] += 1
            if verdict.status == "refused":
                self._refused(verdict)
            self._on_verdict(verdict)
        else:
            self.counts[f"verdicts_{answer}"] += 1

    def _refused(self, verdict: Verdict) -> None:
        self.counts["verdicts_refused"] += 1
        if worth_logging(self.counts["verdicts_refused"]):
            number, reason = self.counts["verdicts_refused"], verdict.reason
            log.warning("refusal %d by the cloud, of reading %s: %.60r", number, verdict.reading_id, reason)


def handlers(incoming: Incoming, acknowledged: Callable[[int, int], None]) -> Handlers:
    """Return what a connection calls."""
    return Handlers(incoming.handle, acknowledged, _denied)


def _denied(topic_filter: str, reason: int) -> None:
    log.warning("the broker does not let this device subscribe to %s: reason code %d", topic_filter, reason)
