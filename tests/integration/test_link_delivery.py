from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from link_rig import DEVICE, SITE, Cable, Maker, Mosquitto, Rig, eventually, subscriber

from edge.link.outbox import Outbox


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def cable(broker: Mosquitto) -> Iterator[Cable]:
    cable = Cable(broker.port)
    yield cable
    cable.close()


def test_a_healthy_link_writes_nothing_to_the_card(rig: Rig, broker: Mosquitto, tmp_path: Path) -> None:
    link = rig.started(broker.url)
    before = [(path.name, path.stat().st_mtime_ns) for path in sorted(tmp_path.glob("outbox*"))]
    with subscriber(broker) as seen:
        ids = rig.readings(link, 50)
        seen.wait_for(lambda: len(seen.on("reading")) == 50)
        eventually(lambda: link.stats().acknowledged == 52)  # and birth and availability
        time.sleep(0.6)  # longer than puback_timeout_s
    assert seen.ids("reading") == ids
    assert rig.outbox.rows == 0
    assert [(path.name, path.stat().st_mtime_ns) for path in sorted(tmp_path.glob("outbox*"))] == before


def test_birth_and_availability_are_retained_after_every_connect(rig: Rig, broker: Mosquitto, cable: Cable) -> None:
    link = rig.started(cable.url)
    eventually(lambda: link.stats().acknowledged == 2)
    with subscriber(broker) as late:
        late.wait_for(lambda: len(late.seen) == 2)
        assert all(message.retain for message in late.seen)
        assert late.states() == ["online"]
        cable.pull()
        late.wait_for(lambda: late.states() == ["online", "lost"])
        cable.plug()
        late.wait_for(lambda: late.states() == ["online", "lost", "online"] and len(late.on("birth")) == 2)
    assert link.stats().connects == 2


def test_a_broker_that_comes_late_gets_everything_once_and_in_order(rig: Rig, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    cable = Cable(broker.port)
    link = rig.link(cable.url)
    began = time.monotonic()
    link.start()
    assert time.monotonic() - began < 0.5
    ids = rig.readings(link, 30)
    eventually(lambda: rig.outbox.rows == 30)
    ids += rig.readings(link, 5)
    cable.pull()
    broker.start()
    with subscriber(broker) as seen:
        cable.plug()
        seen.wait_for(lambda: len(seen.on("reading")) == 35)
        eventually(lambda: rig.outbox.rows == 0)
        assert seen.ids("reading") == ids
    link.stop(2.0)
    cable.close()
    broker.kill()


def test_a_broker_killed_in_mid_stream_costs_no_message(rig: Rig, broker: Mosquitto) -> None:
    cable = Cable(broker.port)
    link = rig.started(cable.url)
    ids = []
    with subscriber(broker) as seen:
        for _ in range(3):
            ids += rig.readings(link, 40)
            broker.kill()
            cable.pull()
            ids += rig.readings(link, 10)
            seen.subscribed.clear()
            broker.start()
            # The broker forgets what it owes to a subscriber that is away, so that one comes first.
            assert seen.subscribed.wait(5.0)
            cable.plug()
        seen.wait_for(lambda: set(seen.ids("reading")) >= set(ids))
        eventually(lambda: rig.outbox.rows == 0)
    repeated = len(seen.ids("reading")) - len(set(seen.ids("reading")))
    assert repeated <= 3 * 20, "more came twice than were unacknowledged at a cut"
    assert set(seen.ids("reading")) == set(ids)
    cable.close()


def test_a_cable_pulled_again_and_again_costs_no_message(rig: Rig, broker: Mosquitto, cable: Cable) -> None:
    link = rig.started(cable.url)
    ids = []
    with subscriber(broker) as seen:
        for cut in range(10):
            ids += rig.readings(link, 30)
            time.sleep(0.005 * cut)  # the cut falls elsewhere in the stream each time
            cable.pull()
            ids += rig.readings(link, 5)
            cable.plug()
            eventually(lambda: link.connected)
        seen.wait_for(lambda: set(seen.ids("reading")) >= set(ids))
        eventually(lambda: rig.outbox.rows == 0)
    assert set(seen.ids("reading")) == set(ids)


def test_without_acknowledgement_rows_are_stored_and_forgotten_when_it_comes(
    rig: Rig, broker: Mosquitto, cable: Cable
) -> None:
    link = rig.started(cable.url)
    eventually(lambda: link.stats().acknowledged == 2)
    with subscriber(broker) as seen:
        cable.hold()
        ids = rig.readings(link, 5)
        seen.wait_for(lambda: len(seen.on("reading")) == 5)
        eventually(lambda: rig.outbox.rows == 5)
        cable.release()
        eventually(lambda: rig.outbox.rows == 0)
        assert seen.ids("reading") == ids
        assert link.stats().connects == 1


def test_more_than_the_window_waits_and_arrives(rig: Rig, broker: Mosquitto, cable: Cable) -> None:
    link = rig.started(cable.url)
    eventually(lambda: link.stats().acknowledged == 2)
    cable.hold()
    with subscriber(broker) as seen:
        ids = rig.readings(link, 300)
        eventually(lambda: rig.outbox.rows == 300)
        cable.release()
        seen.wait_for(lambda: len(seen.on("reading")) >= 300)
        eventually(lambda: rig.outbox.rows == 0)
        assert seen.ids("reading") == ids


def test_a_receive_maximum_of_the_broker_is_kept(rig: Rig, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, "max_inflight_messages 2")
    broker.start()
    link = rig.started(broker.url)
    with subscriber(broker) as seen:
        ids = rig.readings(link, 200)
        seen.wait_for(lambda: len(seen.on("reading")) == 200)
        assert seen.ids("reading") == ids
    assert link.stats().connects == 1
    link.stop(2.0)
    broker.kill()


def test_old_sessions_come_first_at_a_limited_rate_while_new_messages_flow(rig: Rig, broker: Mosquitto) -> None:
    old = [rig.maker.row("reading") for _ in range(10)]
    newer = Maker(rig.clock, session=2)
    rig.outbox.put([newer.row("reading") for _ in range(5)])
    rig.outbox.put(old)
    rig.maker = Maker(rig.clock, session=3)
    with subscriber(broker) as seen:
        link = rig.started(broker.url, session=3, replay_per_s=10.0)
        began = time.monotonic()
        (fresh,) = rig.readings(link, 1)
        seen.wait_for(lambda: fresh in seen.ids("reading"))
        assert time.monotonic() - began < 1.2
        seen.wait_for(lambda: len(seen.on("reading")) == 16)
        assert 1.2 < time.monotonic() - began < 5.0
    replayed = [msgspec.json.decode(message.payload) for message in seen.on("reading")]
    order = [(each["session"], each["seq"]) for each in replayed if each["id"] != fresh]
    assert order == sorted(order)


def test_what_is_not_spooled_is_lost_without_a_connection_and_counted(rig: Rig, tmp_path: Path) -> None:
    link = rig.link(Mosquitto(tmp_path).url)
    link.start()
    link.publish("health", rig.maker.health())
    eventually(lambda: link.stats().lost == 1)
    assert rig.outbox.rows == 0


def test_health_is_acknowledged_where_a_source_changed(rig: Rig, broker: Mosquitto) -> None:
    link = rig.started(broker.url)
    with subscriber(broker) as seen:
        for state in ("ok", "ok", "down", "down"):
            link.publish("health", rig.maker.health(state))
        seen.wait_for(lambda: len(seen.on("health")) == 4)
        assert [message.qos for message in seen.on("health")] == [1, 0, 1, 0]


def test_stopping_brings_out_what_there_is_and_says_so(rig: Rig, broker: Mosquitto) -> None:
    with subscriber(broker) as seen:
        link = rig.started(broker.url, puback_timeout_s=5.0)  # a pause of half a second is no reason to spool
        ids = rig.readings(link, 100)
        began = time.monotonic()
        link.stop(5.0)
        assert time.monotonic() - began < 2.0
        seen.wait_for(lambda: seen.states()[-1:] == ["stopped"])
        assert seen.ids("reading") == ids
        assert seen.seen[-1].topic.endswith("availability")
    assert rig.outbox.rows == 0
    with subscriber(broker) as late:
        late.wait_for(lambda: late.states() == ["stopped"])


def test_stopping_stores_what_gets_no_answer_in_time(rig: Rig, broker: Mosquitto, cable: Cable) -> None:
    link = rig.started(cable.url, puback_timeout_s=60.0)
    eventually(lambda: link.stats().acknowledged == 2)
    cable.hold()
    rig.readings(link, 40)
    began = time.monotonic()
    link.stop(1.5)
    assert time.monotonic() - began < 4.0
    assert rig.outbox.rows == 40


def test_stopping_without_a_broker_stores_at_once(rig: Rig, tmp_path: Path) -> None:
    link = rig.link(Mosquitto(tmp_path).url, puback_timeout_s=60.0)
    link.start()
    rig.readings(link, 3)
    began = time.monotonic()
    link.stop(5.0)
    assert time.monotonic() - began < 1.5
    assert rig.outbox.rows == 3


CHILD = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from link_rig import Rig
rig = Rig(Path(sys.argv[2]))
link = rig.started(sys.argv[1], session=int(sys.argv[3]))
while True:
    print(*rig.readings(link, 5), flush=True)
"""


def test_a_killed_device_is_lost_by_its_last_will_with_its_session(broker: Mosquitto, tmp_path: Path) -> None:
    with subscriber(broker) as seen:
        command = CHILD.format(paths=[str(Path(__file__).parent), str(Path(__file__).parent.parent / "link")])
        folder = tmp_path / "child"
        child = subprocess.Popen([sys.executable, "-c", command, broker.url, str(folder), "7"], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        seen.wait_for(lambda: seen.states() == ["online"])
        child.kill()
        child.wait()
        child.stdout.close()
        seen.wait_for(lambda: seen.states() == ["online", "lost"])
        last = msgspec.json.decode(seen.on("availability")[-1].payload)
    assert last["session"] == 7
    assert seen.on("availability")[-1].topic == f"mien/v1/{SITE}/{DEVICE}/availability"


def test_an_outage_longer_than_the_process_is_replayed_by_the_next(broker: Mosquitto, tmp_path: Path) -> None:
    first = Rig(tmp_path)
    away = first.link(Mosquitto(tmp_path).url)
    away.start()
    ids = first.readings(away, 5)
    first.close()
    second = Rig(tmp_path)
    assert second.outbox.next_session() == 3
    with subscriber(broker) as seen:
        link = second.started(broker.url)
        seen.wait_for(lambda: seen.ids("reading") == ids)
        link.stop(2.0)
    second.close()
    again = Outbox(tmp_path / "outbox.sqlite", clock=second.clock)
    assert again.rows == 0
    again.close()
