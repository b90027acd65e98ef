"""Killed again and again at random moments, on a cable that comes and goes: nothing corrupt, nothing lost but the
readings of the last moments, which were neither acknowledged nor due to be on disk yet.

`MIEN_TEST_KILLS=200 pytest tests/integration/test_link_sigkill.py -s` kills two hundred times and prints the counts.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import link_victim
import pytest
from link_rig import Cable, Mosquitto, Rig, eventually, subscriber

DEVICES = 4
KILLS = int(os.environ.get("MIEN_TEST_KILLS", "40")) // DEVICES * DEVICES
LATE_S = 5.0
"""What a busy machine may add to the time after which a row is stored."""
DRAIN_S = 200.0

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["link_victim"])


@dataclass
class Fate:
    """What one device did over all its lives."""

    made: dict[str, float] = field(default_factory=dict)
    """When each reading was handed over, monotonic seconds, by id."""
    stored: set[str] = field(default_factory=set)
    forgivable: set[str] = field(default_factory=set)
    """Younger than all that the last commit before a kill holds."""
    kills: list[float] = field(default_factory=list)

    def note(self, log: Path) -> None:
        """Take the log of the life that has just ended, and delete it."""
        since_commit: list[str] = []
        for line in log.read_text().splitlines() if log.exists() else []:
            what, at, *ids = line.split()
            if what == "made":
                self.made[ids[0]] = float(at)
                since_commit += [each for each in ids if each not in self.stored]
            else:
                self.stored.update(ids)
                # Messages are taken in their order: a commit covers all that is older than its newest row. That row may
                # be noted as made only after the commit, by another thread.
                newest = [place for place, each in enumerate(since_commit, 1) if each in self.stored]
                known = all(each in self.made for each in ids)
                since_commit = since_commit[max(newest, default=0) :] if known else []
        self.forgivable.update(since_commit)
        log.unlink(missing_ok=True)


def lives(broker: Mosquitto, folder: Path, device: str, kills: int, seed: int) -> Fate:
    """Start and kill one device again and again."""
    dice, fate, cable, log = random.Random(seed), Fate(), Cable(broker.port), folder / "log"
    folder.mkdir()
    for number in range(kills):
        victim = FORK.Process(target=link_victim.live, args=(cable.url, folder, device, number), daemon=True)
        victim.start()
        if number % 4:  # the others are killed while they start
            eventually(lambda: log.exists() and log.stat().st_size, within_s=60.0)
        end = time.monotonic() + dice.uniform(0.0, 1.2)
        while time.monotonic() < end:
            dice.choice([cable.pull, cable.plug, cable.plug, cable.hold, cable.release])()
            time.sleep(dice.uniform(0.0, 0.3))
        victim.kill()
        fate.kills.append(time.monotonic())
        victim.join()
        victim.close()
        cable.plug()
        cable.release()
        fate.note(log)
        check(folder / "outbox.sqlite")
    cable.close()
    return fate


def check(database: Path) -> None:
    if database.exists():
        with closing(sqlite3.connect(database)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not database.with_name(database.name + ".corrupt").exists()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    running = Mosquitto(tmp_path)
    running.start()
    yield running
    running.kill()


@pytest.mark.slow
def test_killed_again_and_again_nothing_is_corrupt_and_nothing_stored_or_acknowledged_is_lost(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server that the victims are forked from imports them once; before Python 3.12 only from here.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    warm_up = FORK.Process(target=time.monotonic)
    warm_up.start()
    warm_up.join()
    names = [f"room-{number}" for number in range(DEVICES)]
    with subscriber(broker) as seen, ThreadPoolExecutor(DEVICES) as pool:
        fates = list(
            pool.map(lambda name: lives(broker, tmp_path / name, name, KILLS // DEVICES, seed=names.index(name)), names)
        )
        for name in names:
            rig = Rig(tmp_path / name)
            rig.started(broker.url, device=name, session=rig.maker._session)
            with closing(rig):
                eventually(lambda rig=rig: rig.outbox.rows == 0, within_s=DRAIN_S)
                assert rig.outbox.quarantined == 0
        seen.wait_for(
            lambda: set(seen.ids("reading")) >= set().union(*(fate.stored for fate in fates)), within_s=DRAIN_S
        )
        arrived = seen.ids("reading")
    assert sum(len(fate.kills) for fate in fates) == KILLS
    made = {row_id: at for fate in fates for row_id, at in fate.made.items()}
    forgivable = set().union(*(fate.forgivable for fate in fates))
    lost = set(made) - set(arrived)
    assert lost <= forgivable, "lost although a commit came after it"
    ages = [min(kill for kill in fate.kills if kill >= at) - at for fate in fates
            for row_id, at in fate.made.items() if row_id in lost]  # fmt: skip
    assert max(ages, default=0.0) <= link_victim.PUBACK_TIMEOUT_S + LATE_S
    twice = len(arrived) - len(set(arrived))
    print(f"\n{KILLS} kills: {len(made)} readings made, {len(lost)} lost, the oldest {max(ages, default=0.0):.2f} s "
          f"before the kill; {sum(len(fate.stored) for fate in fates)} stored, {twice} more came twice")  # fmt: skip
    assert len(made) > 10 * KILLS, "the devices hardly lived"
    assert all(fate.stored for fate in fates), "nothing ever went to disk"
