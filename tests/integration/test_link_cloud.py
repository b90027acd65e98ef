from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from link_rig import DEVICE, SITE, Cable, Mosquitto, Rig, Subscriber, eventually, subscriber

from edge.clock import new_id
from edge.errors import BadMessage, BadTopic
from edge.header import Headers
from edge.link.evidence import build_evidence
from edge.link.session import Link
from edge.protocol import CloudAvailability, Command, Evidence, Reply, Verdict, decode

BASE = f"mien/v1/{SITE}/{DEVICE}"
CLOUD = f"mien/v1/{SITE}/cloud/availability"


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
def cloud(broker: Mosquitto) -> Iterator[Subscriber]:
    with subscriber(broker) as client:
        yield client


def beat(state: str = "online", workers: int = 1) -> CloudAvailability:
    return CloudAvailability(state="online" if state == "online" else "stopped", workers=workers, ts=0.0)


def ready(rig: Rig, broker: Mosquitto, cloud: Subscriber) -> Link:
    """A link that has heard the cloud."""
    link = rig.started(broker.url)
    cloud.wait_for(lambda: cloud.on("birth"))  # published after subscribing
    cloud.publish(CLOUD, beat())
    eventually(lambda: link.cloud_present)
    return link


def evidence(rig: Rig, reading_id: str, *, ttl_ms: int = 10_000) -> Evidence:
    made = build_evidence(
        Headers(session=1, mode="research", clock=rig.clock),
        reading_id=reading_id,
        crops=[np.full((48, 48), 7, dtype=np.uint8)],
        face_quality=0.5,
        log_mel=np.zeros((186, 64), dtype=np.float32),
        voiced_share=0.5,
        ttl_ms=ttl_ms,
    )
    assert made is not None
    return made


def verdict(rig: Rig, reading_id: str) -> Verdict:
    return Verdict(**rig.maker.header(), reading_id=reading_id, status="refused", reason="busy")


def test_the_cloud_is_there_while_it_says_so(rig: Rig, broker: Mosquitto, cloud: Subscriber) -> None:
    link = ready(rig, broker, cloud)
    cloud.publish(CLOUD, beat(workers=0))
    eventually(lambda: not link.cloud_present)
    cloud.publish(CLOUD, beat())
    eventually(lambda: link.cloud_present)
    cloud.publish(CLOUD, beat("stopped"))
    eventually(lambda: not link.cloud_present)


def test_the_cloud_is_away_when_the_broker_is(rig: Rig, broker: Mosquitto, cloud: Subscriber) -> None:
    link = ready(rig, broker, cloud)
    broker.kill()
    eventually(lambda: not link.cloud_present)
    assert not link.request(evidence(rig, new_id()))


def test_evidence_goes_out_with_its_expiry_and_the_verdict_comes_back(
    rig: Rig, broker: Mosquitto, cloud: Subscriber
) -> None:
    link = ready(rig, broker, cloud)
    asked = evidence(rig, new_id(), ttl_ms=1500)
    assert link.request(asked)
    cloud.wait_for(lambda: cloud.on("evidence"))
    (message,) = cloud.on("evidence")
    assert decode(Evidence, message.payload) == asked
    assert message.properties is not None
    assert message.properties.MessageExpiryInterval in (1, 2)  # the broker counts down what it holds
    assert message.properties.ResponseTopic == f"{BASE}/verdict"
    assert message.properties.CorrelationData == asked.reading_id.encode()
    answer = verdict(rig, asked.reading_id)
    cloud.publish(f"{BASE}/verdict", answer)
    eventually(lambda: rig.heard == [answer])
    cloud.publish(f"{BASE}/verdict", answer)
    cloud.publish(f"{BASE}/verdict", verdict(rig, new_id()))
    eventually(lambda: link.stats().verdicts_unknown == 2)
    assert rig.heard == [answer]
    assert rig.outbox.rows == 0


def test_a_verdict_after_its_deadline_is_late(rig: Rig, broker: Mosquitto, cloud: Subscriber) -> None:
    link = ready(rig, broker, cloud)
    asked = evidence(rig, new_id(), ttl_ms=1)
    assert link.request(asked)
    cloud.wait_for(lambda: cloud.on("evidence"))
    cloud.publish(f"{BASE}/verdict", verdict(rig, asked.reading_id))
    eventually(lambda: link.stats().verdicts_late == 1)
    assert rig.heard == []


def test_evidence_is_never_kept(rig: Rig, broker: Mosquitto, cloud: Subscriber) -> None:
    cable = Cable(broker.port)
    link = rig.started(cable.url)
    cloud.wait_for(lambda: cloud.on("birth"))
    cloud.publish(CLOUD, beat())
    eventually(lambda: link.cloud_present)
    cable.hold()
    assert link.request(evidence(rig, new_id()))
    cloud.wait_for(lambda: cloud.on("evidence"))
    cable.pull()
    cable.release()
    cable.plug()
    eventually(lambda: link.stats().connects == 2 and link.stats().lost == 1)
    (fence,) = rig.readings(link, 1)
    cloud.wait_for(lambda: fence in cloud.ids("reading"))
    assert len(cloud.on("evidence")) == 1
    assert rig.outbox.rows == 0
    cable.close()


def test_commands_come_in_and_replies_go_out(rig: Rig, broker: Mosquitto, cloud: Subscriber) -> None:
    link = ready(rig, broker, cloud)
    command = Command(**rig.maker.header(), verb="identify")
    cloud.publish(f"{BASE}/command/identify", command)
    eventually(lambda: rig.heard == [command])
    reply = Reply(**rig.maker.header(), command_id=command.id, verb="identify", ok=True)
    link.publish("reply", reply)
    cloud.wait_for(lambda: cloud.on("reply"))
    assert cloud.on("reply")[0].topic == f"{BASE}/reply/identify"
    assert msgspec.json.decode(cloud.on("reply")[0].payload, type=Reply) == reply


def test_garbage_is_counted_and_nothing_else(rig: Rig, broker: Mosquitto, cloud: Subscriber) -> None:
    link = ready(rig, broker, cloud)
    for topic, payload in (
        (f"{BASE}/verdict", b"\xff\x00{"),
        (f"{BASE}/verdict", b"{" * 100_000),
        (f"{BASE}/verdict", b"x" * 200_000),
        (f"{BASE}/verdict", msgspec.json.encode(verdict(rig, new_id())).replace(b"verdict/1", b"verdict/9")),
        (f"{BASE}/command/mute", b""),
        (f"{BASE}/command/Mute!", b"{}"),
        (CLOUD, b"[]"),
    ):
        cloud.publish(topic, payload)
    eventually(lambda: link.stats().ignored == 7)
    assert rig.heard == []
    assert link.cloud_present
    assert link.stats().connects == 1


def test_a_callback_that_fails_does_not_end_the_link(rig: Rig, broker: Mosquitto, cloud: Subscriber) -> None:
    called = threading.Event()

    def fail(_: Command) -> None:
        called.set()
        raise ZeroDivisionError

    link = rig.started(broker.url, on_command=fail, birth=lambda: 1 / 0)
    cloud.wait_for(lambda: cloud.states() == ["online"])
    cloud.publish(f"{BASE}/command/identify", Command(**rig.maker.header(), verb="identify"))
    assert called.wait(10.0)
    ids = rig.readings(link, 1)
    cloud.wait_for(lambda: cloud.ids("reading") == ids)
    assert link.stats().ignored == 1


def test_what_a_device_must_not_publish_is_refused_at_once(rig: Rig) -> None:
    link = rig.link("mqtt://127.0.0.1:1")
    with pytest.raises(BadTopic):
        link.publish("verdict", verdict(rig, new_id()))
    with pytest.raises(BadTopic):
        link.publish("reading", rig.maker.event())
    with pytest.raises(BadMessage):
        link.publish("event", rig.maker.event("x" * 200_000))
