"""Brings messages to the broker: from memory while it answers, by the outbox when it does not.

One thread does all of it and owns all of its state, so there is nothing to lock: everybody else puts notes into its
inbox. A message that must not be lost (a row) is in one of three places until the broker has acknowledged it:

    waiting   in memory, not sent on this connection
    flying    sent on this connection, not acknowledged; perhaps in the outbox as well
    outbox    on disk, to be replayed in the order in which the messages were made, at a limited rate

Once the oldest row in memory is `puback_timeout_s` old, all of them go to the outbox in one transaction. A row that
flies is not sent again on the same connection, however long it takes: MQTT forbids that.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable

from edge.clock import Clock
from edge.link.connection import QUOTA_EXCEEDED, REFUSED, Connection, Ending, Packet
from edge.link.flights import Flight, Flights, packet_of
from edge.link.noise import worth_logging
from edge.link.notes import Acknowledged, Down, Note, Parcel, Stop, Up
from edge.link.outbox import Outbox
from edge.link.rows import Row
from edge.progress import Heart

log = logging.getLogger(__name__)

BATCH = 50
TIDY_EVERY_S = 1.0
"""Acknowledged rows are deleted together this often: each commit is an fsync on a card that wears out."""
STUCK_S = 60.0
"""A broker that answers pings and acknowledges nothing for so long is left: only a new connection may send again."""
PUT_OFF_S = 10.0
"""Rows rest this long once the broker has said that a quota is used up; they are kept, as it may take them later."""
IDLE_S = 30.0
SLOW_S = 60.0
"""One turn's work may take so long on a worn card; a thread that is away for longer hangs."""
FAREWELL_S = 1.0
"""Of the time for stopping, what is kept for the last words."""


class Courier:
    """See the module. Times are in seconds.

    `greet` is called in the courier's thread with each new connection and returns what is to be published first.
    `on_refused` gets topic and reason code of each message that the broker refused: it is not sent again. Neither may
    raise.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        clock: Clock,
        puback_timeout_s: float,
        replay_per_s: float,
        greet: Callable[[Connection], list[Packet]],
        on_refused: Callable[[str, int], None],
        heart: Heart | None = None,
    ) -> None:
        self._outbox, self._clock, self._heart = outbox, clock, heart or Heart("outbox", clock)
        self._timeout_s, self._replay_every_s = puback_timeout_s, 1.0 / replay_per_s
        self._greet, self._on_refused = greet, on_refused
        self._inbox: queue.SimpleQueue[Note] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="mien-link", daemon=True)
        self._connection: Connection | None = None
        self._flights = Flights()
        self._replay: deque[Row] = deque()
        self._replay_at = self._spool_at = self._tidy_at = self._rest_until = 0.0
        self._delivered: set[str] = set()
        self._stop: Stop | None = None
        self.counts: Counter[str] = Counter()
        """`published`, `acknowledged`, `refused`, `put_off` (a quota was used up: kept), `lost` (not spooled, nor
        acknowledged), `dropped` (from memory)."""

    def start(self) -> None:
        """Begin to work; returns at once."""
        self._thread.start()

    def send(self, packet: Packet, row: Row | None = None) -> None:
        """Take a message from any thread; one without a row is lost if it cannot be sent now."""
        self._inbox.put(Parcel(packet, row))

    def up(self, connection: Connection) -> None:
        """Take a connection that the broker has accepted."""
        self._inbox.put(Up(connection))

    def down(self, connection: Connection) -> None:
        """Forget a connection, from which no acknowledgement comes any more."""
        self._inbox.put(Down(connection))

    def acknowledged(self, mid: int, reason: int) -> None:
        """Take the broker's word for a packet of the present connection."""
        self._inbox.put(Acknowledged(mid, reason))

    def stop(self, timeout_s: float, last_words: Packet) -> None:
        """Wait for acknowledgements, store the other rows, publish `last_words`: all within `timeout_s`."""
        if self._thread.is_alive():
            self._inbox.put(Stop(self._clock.monotonic() + timeout_s, last_words))
            self._thread.join(timeout_s + FAREWELL_S)

    def turn(self, wait_s: float) -> float:
        """Wait for news for at most `wait_s`, do what is due, and return the seconds until something is, unasked.

        What the thread does all the time; simulations that have a clock of their own call it instead of `start`.
        """
        self._take_notes(wait_s)
        self._work(self._clock.monotonic())
        return self._next_s(self._clock.monotonic())

    def _run(self) -> None:
        wait_s = 0.0
        while self._stop is None:
            self._heart.beat(wait_s + SLOW_S)
            wait_s = self.turn(wait_s)
        self._heart.rest()
        self._farewell(self._stop)

    def _take_notes(self, timeout_s: float) -> None:
        """Wait for a note and take all there are."""
        try:
            self._take(self._inbox.get(timeout=timeout_s))
            while True:
                self._take(self._inbox.get_nowait())
        except queue.Empty:
            return

    def _take(self, note: Note) -> None:
        match note:
            case Parcel(packet, row):
                self._accept(packet, row)
            case Up(connection):
                self._begin(connection)
            case Down():
                self._connection = None
                self.counts["lost"] += self._flights.land()
            case Acknowledged(mid, reason):
                self._settle(mid, reason)
            case Stop():
                self._stop = note

    def _accept(self, packet: Packet, row: Row | None) -> None:
        if row is not None:
            self._flights.wait(row)
        elif self._connection is not None:
            self._flights.hurry(packet)
        else:
            self.counts["lost"] += 1

    def _begin(self, connection: Connection) -> None:
        self._connection = connection
        self._replay.clear()
        for packet in self._greet(connection):
            self._flights.hurry(packet)
        if self._outbox.rows > len(self._delivered):
            self._spool()  # older ones are in the outbox: these queue up behind them

    def _settle(self, mid: int, reason: int) -> None:
        flight = self._flights.arrive(mid)
        if flight is None:  # QoS 0: paho reports that it was written
            return
        if reason == QUOTA_EXCEEDED and flight.row is not None:
            self._put_off(flight.row, stored=flight.stored)
            return
        if flight.row is not None and flight.stored:
            self._delivered.add(flight.row.id)
        if reason < REFUSED:
            self.counts["acknowledged"] += 1
        else:
            self.counts["refused"] += 1
            count = self.counts["refused"]
            if worth_logging(count):
                log.warning("refused message %d, on %s: reason code %d", count, flight.packet.topic, reason)
            self._on_refused(flight.packet.topic, reason)

    def _put_off(self, row: Row, *, stored: bool) -> None:
        self.counts["put_off"] += 1
        if worth_logging(self.counts["put_off"]):
            log.warning("the broker's quota is used up (message %d); rows rest", self.counts["put_off"])
        self._rest_until = self._clock.monotonic() + PUT_OFF_S
        self._replay.clear()  # to be read again from the oldest on
        if not stored:
            self._flights.wait_again(row)

    def _work(self, now: float) -> None:
        if self._connection is not None:
            self._send_waiting(self._connection, now)
            self._send_stored(self._connection, now)
            self._leave_if_stuck(self._connection, now)
        oldest = self._flights.oldest_in_memory()
        if oldest is not None and now >= max(oldest + self._timeout_s, self._spool_at):
            self._spool()
        if self._delivered and now >= self._tidy_at:
            self._tidy()

    def _send_waiting(self, connection: Connection, now: float) -> None:
        rows_too = now >= self._rest_until
        while len(self._flights) < connection.window and (upcoming := self._flights.pop_next(rows=rows_too)):
            self._fly(connection, upcoming.packet, upcoming.row)

    def _send_stored(self, connection: Connection, now: float) -> None:
        if now < max(self._replay_at, self._rest_until) or not self._may_replay(connection):
            return
        if not self._replay:
            skip = self._flights.stored_ids() | self._delivered
            self._replay.extend(self._outbox.oldest(BATCH, skip=skip))
        if self._replay:
            row = self._replay.popleft()
            self._fly(connection, packet_of(row), row, stored=True)
            # Late by less than one step, the next one comes so much the earlier: the rate holds on average.
            self._replay_at = max(self._replay_at, now - self._replay_every_s) + self._replay_every_s
        else:
            self._replay_at = now + TIDY_EVERY_S

    def _may_replay(self, connection: Connection) -> bool:
        """Half of the window is for replay, so that what is new does not wait behind what is old."""
        underway = len(self._flights.stored_ids()) + len(self._delivered)
        return self._outbox.rows > underway and len(self._flights) < max(1, connection.window // 2)

    def _leave_if_stuck(self, connection: Connection, now: float) -> None:
        oldest = self._flights.oldest_flight()
        if oldest is not None and now - oldest.since > STUCK_S:
            connection.end(Ending("lost", f"no acknowledgement for {STUCK_S:g} s"))

    def _fly(self, connection: Connection, packet: Packet, row: Row | None = None, *, stored: bool = False) -> None:
        mid = connection.publish(packet)
        self.counts["published"] += 1
        if packet.qos:
            self._flights.take_off(mid, Flight(packet, row, self._clock.monotonic(), stored))

    def _spool(self) -> None:
        rows = self._flights.in_memory()
        if not rows:
            return
        not_stored = {row.id for row in self._outbox.put(rows)}
        self._flights.mark_stored(but=not_stored)
        self.counts["dropped"] += self._flights.drop_excess()
        if not_stored:
            self._spool_at = self._clock.monotonic() + self._timeout_s

    def _tidy(self) -> None:
        self._tidy_at = self._clock.monotonic() + TIDY_EVERY_S
        if self._outbox.delete(self._delivered):
            self._delivered.clear()

    def _next_s(self, now: float) -> float:
        """Return the seconds until there is something to do unasked."""
        due = [now + IDLE_S]
        oldest = self._flights.oldest_in_memory()
        if oldest is not None:
            due.append(max(oldest + self._timeout_s, self._spool_at))
        if self._delivered:
            due.append(self._tidy_at)
        if self._connection is not None and self._may_replay(self._connection):
            due.append(max(self._replay_at, self._rest_until))
        if self._rest_until > now:
            due.append(self._rest_until)
        return max(0.0, min(due) - now)

    def _farewell(self, stop: Stop) -> None:
        drained_by = stop.until - FAREWELL_S
        while self._flights.in_memory() and self._connection is not None and self._clock.monotonic() < drained_by:
            self._send_waiting(self._connection, self._clock.monotonic())
            self._take_notes(max(0.0, drained_by - self._clock.monotonic()))
        self._spool()
        if self._connection is not None:
            self._fly(self._connection, stop.last_words)
        while self._awaits(stop.last_words) and self._clock.monotonic() < stop.until:
            self._take_notes(max(0.0, stop.until - self._clock.monotonic()))
        self._spool()  # what was published while we were leaving
        self._tidy()

    def _awaits(self, packet: Packet) -> bool:
        return self._connection is not None and self._flights.has(packet)
