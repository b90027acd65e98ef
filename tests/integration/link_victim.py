"""A device that publishes until it is killed, and writes down what it has done: forked again and again by the tests."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

from link_rig import Rig

from edge.link.rows import Row

PUBACK_TIMEOUT_S = 0.3


def live(url: str, folder: Path, device: str, seed: int) -> None:
    """Publish readings for ever. `folder/log` gets a line for each reading handed over and for each commit.

    The lines reach the kernel at once, so that a kill loses none.
    """
    dice = random.Random(seed)
    log = os.open(folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    rig = Rig(folder)
    put = rig.outbox.put

    def put_and_tell(rows: Sequence[Row]) -> list[Row]:
        refused = put(rows)
        stored = [row.id for row in rows if row not in refused]
        os.write(log, f"stored {time.monotonic()} {' '.join(stored)}\n".encode())
        return refused

    rig.outbox.put = put_and_tell  # type: ignore[method-assign]
    link = rig.link(url, device=device, session=rig.maker._session, puback_timeout_s=PUBACK_TIMEOUT_S)
    link.start()
    while True:
        message = rig.maker.reading()
        link.publish("reading", message)
        os.write(log, f"made {time.monotonic()} {message.id}\n".encode())
        time.sleep(dice.uniform(0.0, 0.02))
