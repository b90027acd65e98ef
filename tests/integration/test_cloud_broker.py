"""Ingest and offload over real brokers: a Mosquitto of the test's own, and the embedded one."""

import queue
import random
import signal
import sqlite3
import threading
import time
from contextlib import contextmanager

import msgspec
import numpy as np
import paho.mqtt.client as mqtt
import pytest
from brokers import eventually, free_port
from cloud_messages import WHITE, availability, birth, evidence, head, reading
from cloud_models import write_models
from cloud_service import CloudProcess, Device, mosquitto
from paho.mqtt.enums import CallbackAPIVersion

from cloud.link import MAX_PACKET
from edge.perception.wire import pack_crops
from edge.protocol import MAX_EVIDENCE, MAX_PAYLOAD, Verdict, decode, encode


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return str(write_models(tmp_path_factory.mktemp("models")))


@contextmanager
def broker_of(kind, folder):
    """Yield (arguments for the cloud, port): the embedded broker on a fixed port, or a Mosquitto."""
    if kind == "embedded":
        port = free_port()
        yield ["--broker-port", str(port)], port
    else:
        with mosquitto(folder / "mosquitto") as port:
            yield ["--broker", f"mqtt://127.0.0.1:{port}"], port


@pytest.fixture(params=["embedded", "mosquitto"], scope="module")
def running(request, tmp_path_factory, models):
    """Yield (cloud, port of its broker)."""
    folder = tmp_path_factory.mktemp(request.param)
    with (
        broker_of(request.param, folder) as (arguments, port),
        CloudProcess(folder, "--models", models, *arguments) as cloud,
    ):
        yield cloud, port


def test_a_device_learns_at_once_that_the_cloud_is_there(running):
    _, port = running
    with Device(port, "site-a", "newcomer") as device:
        device.publish("availability", availability(), retain=True)
        assert msgspec.json.decode(device.hear("availability", within_s=2.0))["state"] == "online"


def test_evidence_is_answered_and_both_are_stored(running):
    cloud, port = running
    with Device(port, "site-b", "asker") as device:
        sent = reading(emotion="sad")
        device.publish("reading", sent)
        device.publish("evidence", evidence(sent.id))
        verdict = decode(Verdict, device.hear("verdict"))
    assert (verdict.reading_id, verdict.status, verdict.fused.emotion) == (sent.id, "ok", "happy")
    (stored,) = cloud.get("/api/readings?site=site-b")["readings"]
    assert (stored["fused"]["emotion"], stored["final"]["emotion"]) == ("sad", "happy")
    assert stored["verdict"]["id"] == verdict.id


def test_a_verdict_may_overtake_its_reading(running):
    cloud, port = running
    with Device(port, "site-c", "late") as device:
        sent = reading(emotion="sad")
        device.publish("evidence", evidence(sent.id))
        device.hear("verdict")
        device.publish("reading", sent)
        eventually(lambda: cloud.get("/api/readings?site=site-c")["readings"], what="the reading is stored")
    (stored,) = cloud.get("/api/readings?site=site-c")["readings"]
    assert stored["final"]["emotion"] == "happy"


def test_refusals_name_their_reason(running):
    cloud, port = running
    before = cloud.get("/api/counters")
    changes = {
        "empty": {"crops": []},
        "malformed": {"log_mel": WHITE},
        "unknown-model": {"crop_format": "gray96"},
        "unknown-schema": {"schema": "mien.evidence/1"},
        "stale": {"ts": time.time() - 3600.0},
    }
    with Device(port, "site-d", "clumsy") as device:
        for reason, change in changes.items():
            device.publish("evidence", evidence(head()["id"], **change))
            assert decode(Verdict, device.hear("verdict")).reason == reason
        sent = evidence(head()["id"])
        fields = msgspec.to_builtins(sent, builtin_types=(bytes,)) | {"extra": bytes(MAX_EVIDENCE)}
        device.publish_raw("mien/v1/site-d/clumsy/evidence", msgspec.msgpack.encode(fields))
        assert decode(Verdict, device.hear("verdict")).reason == "oversize"
        # Whatever was refused before, the next good request is answered, and a second copy of it is not.
        good = evidence(head()["id"])
        for _ in range(2):
            device.publish("evidence", good)
        assert decode(Verdict, device.hear("verdict")).status == "ok"
        device.publish("evidence", evidence(head()["id"], crops=[]))
        assert decode(Verdict, device.hear("verdict")).reason == "empty"
    after = cloud.get("/api/counters")
    refused = {name: after[name] - before.get(name, 0) for name in after if name.startswith("offload.refused.")}
    expected = dict.fromkeys([*changes, "oversize"], 1) | {"empty": 2}
    assert {name.rpartition(".")[2]: count for name, count in refused.items() if count} == expected
    assert after["offload.duplicates"] - before.get("offload.duplicates", 0) == 1


def test_what_is_far_too_large_never_reaches_the_cloud(tmp_path, models):
    with (
        mosquitto(tmp_path / "broker") as port,
        CloudProcess(tmp_path / "cloud", "--models", models, "--broker", f"mqtt://127.0.0.1:{port}") as cloud,
        Device(port, "site-d", "huge") as device,
    ):
        for kind in ("evidence", "reading"):
            device.publish_raw(f"mien/v1/site-d/huge/{kind}", bytes(2 * MAX_PACKET))
        device.publish("reading", reading())
        device.publish("evidence", evidence(head()["id"]))
        assert decode(Verdict, device.hear("verdict", within_s=30.0)).status == "ok"
        eventually(lambda: len(cloud.readings()) == 1, what="the reading is stored")
        counters = cloud.get("/api/counters")
        assert counters["offload.received"] == 1
        assert [name for name in counters if "oversize" in name] == []


def test_duplicates_garbage_and_disorder_change_nothing(running):
    cloud, port = running
    rng = random.Random(3)
    sent = [reading(seq) for seq in range(40)]
    with Device(port, "site-e", "noisy") as device:
        before = cloud.get("/api/counters")
        messages = [encode(message) for message in sent * 2] + [rng.randbytes(rng.randrange(200)) for _ in range(30)]
        rng.shuffle(messages)
        for payload in messages:
            device.publish_raw("mien/v1/site-e/noisy/reading", payload)
        device.publish_raw("mien/v1/site-e/NOISY/reading", messages[0])
        eventually(lambda: len(cloud.get("/api/readings?site=site-e")["readings"]) == 40, what="all are stored")
    after = cloud.get("/api/counters")
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert (grown["ingest.duplicates"], grown["ingest.refused.malformed"], grown["ingest.refused.bad-topic"]) == (
        40,
        30,
        1,
    )


def test_a_broken_connection_shows_as_lost(running):
    cloud, port = running
    device = Device(port, "site-f", "fragile").__enter__()
    device.publish("availability", availability(), retain=True)
    device.publish("birth", birth(), retain=True)

    def state():
        return [view["availability"] for view in cloud.get("/api/devices")["devices"] if view["site"] == "site-f"]

    eventually(lambda: state() == ["online"], what="online")
    device.drop()
    eventually(lambda: state() == ["lost"], what="lost")


def test_evidence_is_on_no_disk(running):
    cloud, port = running
    noise = np.random.default_rng(5).integers(0, 256, (48, 48), np.uint8)  # packs badly, so that its bytes are its own
    (marked,) = pack_crops([noise])
    with Device(port, "site-g", "private") as device:
        device.publish("evidence", evidence(head()["id"], crops=[marked]))
        device.hear("verdict")
        time.sleep(1.2)  # a persisting broker has written by then
        for path in cloud.data.parent.rglob("*"):
            assert not path.is_file() or marked[100:400] not in path.read_bytes(), path


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """A cloud with the embedded broker and without models."""
    with CloudProcess(tmp_path_factory.mktemp("embedded"), "--no-worker") as cloud:
        yield cloud


def test_the_embedded_broker_acknowledges_only_what_is_committed(embedded):
    cloud = embedded
    with Device(cloud.broker_port) as device:
        device.publish("reading", reading())
        before = len(cloud.readings())
        blocker = sqlite3.connect(cloud.data / "mien.sqlite", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        held = device.send("reading", reading())
        time.sleep(0.7)
        assert not held.is_published()
        blocker.execute("ROLLBACK")
        blocker.close()
        held.wait_for_publish(5)
        assert held.is_published()
        assert len(cloud.readings()) == before + 1


def publish_until(stop, port, sent, acknowledged):
    """Publish readings as fast as they go until the connection breaks; note what was sent and what acknowledged."""
    with Device(port, "home", f"writer-{len(sent)}") as device:
        pending = []
        while not stop.is_set():
            message = reading(len(sent))
            sent.append(message.id)
            pending.append((message.id, device.send("reading", message)))
            time.sleep(0.002)
        acknowledged += [message_id for message_id, info in pending if info.rc == 0 and info.is_published()]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["embedded", "mosquitto"])
def test_a_killed_cloud_loses_nothing_that_was_acknowledged(kind, tmp_path):
    rng = random.Random(5)
    sent, acknowledged = [], []
    with broker_of(kind, tmp_path) as (arguments, port):
        for _ in range(2):
            with CloudProcess(tmp_path, "--no-worker", *arguments) as cloud:
                stop = threading.Event()
                writer = threading.Thread(target=publish_until, args=(stop, port, sent, acknowledged))
                writer.start()
                time.sleep(rng.uniform(0.3, 0.9))
                assert cloud.stop(signal.SIGKILL) == -signal.SIGKILL
                time.sleep(0.1)
                stop.set()
                writer.join()
        with CloudProcess(tmp_path, "--no-worker", *arguments) as cloud:
            wanted = set(acknowledged)
            assert len(wanted) > 100
            eventually(lambda: wanted <= stored_ids(cloud), what="everything acknowledged is in the store")
            assert stored_ids(cloud) <= set(sent)


def stored_ids(cloud):
    with sqlite3.connect(cloud.data / "mien.sqlite") as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM readings")]
    connection.close()
    assert len(ids) == len(set(ids))
    return set(ids)


@pytest.mark.slow
def test_mosquitto_keeps_what_comes_while_the_cloud_is_away(tmp_path):
    with mosquitto(tmp_path / "mosquitto") as port:
        arguments = ["--no-worker", "--broker", f"mqtt://127.0.0.1:{port}"]
        with CloudProcess(tmp_path, *arguments), Device(port) as device:
            device.publish("reading", reading(0))
        with Device(port) as device:
            for seq in range(1, 1500):
                device.send("reading", reading(seq))
            device.publish("reading", reading(1500))
        with CloudProcess(tmp_path, *arguments) as cloud:
            eventually(lambda: len(stored_ids(cloud)) == 1501, what="all 1501 are stored")


def test_the_cloud_outlives_a_restart_of_its_broker(tmp_path, models):
    with mosquitto(tmp_path / "mosquitto") as port:
        cloud = CloudProcess(tmp_path, "--models", models, "--broker", f"mqtt://127.0.0.1:{port}").__enter__()
    time.sleep(0.3)
    assert cloud.get("/readyz")["checks"]["worker"] is False
    with mosquitto(tmp_path / "mosquitto") as again, Device(again) as device:
        eventually(lambda: cloud.get("/readyz")["checks"]["worker"], within_s=15, what="the worker is back")
        sent = reading()
        device.publish("reading", sent)
        device.publish("evidence", evidence(sent.id))
        assert decode(Verdict, device.hear("verdict")).reading_id == sent.id
        assert cloud.stop() == 0


def test_mosquitto_shares_evidence_among_workers_and_the_embedded_broker_cannot(running):
    """What cloud/broker.py and cloud/workplace.py say of `$share`."""
    cloud, port = running
    heard = answers_with_a_colleague(port, "$share/mien-workers/mien/v1/+/+/evidence")
    if cloud.broker_is_embedded:
        assert heard == {"evidence": 0, "verdict": 10}
    else:
        assert 0 < heard["evidence"] < 10
        assert heard["evidence"] + heard["verdict"] == 10


def answers_with_a_colleague(port, group):
    """Ask ten times while another client is in the workers' group; count what either got."""
    heard = {"evidence": 0, "verdict": 0}
    with Device(port, "home", "asker") as device, Device(port, "home", "colleague") as colleague:
        colleague.subscribe(group)
        for _ in range(10):
            device.publish("evidence", evidence(head()["id"]))
        deadline = time.monotonic() + 5
        while sum(heard.values()) < 10 and time.monotonic() < deadline:
            heard["verdict"] += device.count("verdict")
            heard["evidence"] += colleague.count("evidence")
            time.sleep(0.02)
    return heard


def test_an_oversized_packet_ends_the_connection_and_not_the_broker(embedded):
    with Device(embedded.broker_port, "site-h", "huge") as device:
        device.send_raw("mien/v1/site-h/huge/reading", b" " * (2 * MAX_PAYLOAD))
        eventually(lambda: not device.connected, what="the connection is closed")
    with Device(embedded.broker_port, "site-h", "other") as other:
        other.publish("reading", reading())
    assert len(embedded.get("/api/readings?site=site-h")["readings"]) == 1


def test_nobody_but_the_cloud_speaks_for_the_cloud(embedded):
    with Device(embedded.broker_port, "site-i", "forger") as device:
        device.publish_raw("mien/v1/site-i/forger/verdict", b"{}")
        device.publish_raw("mien/v1/site-i/cloud/availability", b"{}")
        device.publish("reading", reading())
        assert embedded.get("/api/counters")["ingest.refused.forbidden"] == 2
        assert list(device.heard.queue) == []


def test_nobody_else_gets_in_under_the_clouds_name(embedded):
    refused = queue.Queue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    client.username_pw_set("mien-cloud", "guessed")
    client.on_connect = lambda _client, _data, _flags, reason, _properties: refused.put(reason)
    client.connect("127.0.0.1", embedded.broker_port)
    client.loop_start()
    assert refused.get(timeout=5).is_failure
    client.loop_stop()


def test_nobody_gets_retained_messages_that_others_subscribed_to(embedded):
    with Device(embedded.broker_port, "site-j", "first") as first:
        first.publish("availability", availability(), retain=True)
        with Device(embedded.broker_port, "site-k", "second") as second:
            second.publish("reading", reading())
            assert list(second.heard.queue) == []
