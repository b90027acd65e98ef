"""What really leaves in each mode: pipeline and daemon on a fake camera and microphone, every message looked at.

`KEYS` says, independently of the code, which kinds of message a mode may send and which keys they may have.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Self, get_args

import cv2
import msgspec
import numpy as np
import pytest
from golden import GOLDEN
from sample import moving_portrait, voice

from edge.assemble import Models, load_models, make_aggregator, make_fusion, make_gate, speech_stage
from edge.capture.base import Frame, Sound
from edge.capture.fakes import FakeCamera, FakeMicrophone
from edge.clock import SystemClock
from edge.config import build_config
from edge.daemon import Daemon
from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.header import Headers
from edge.mute import Mute
from edge.perception.detect import Face
from edge.perception.face import FaceStage
from edge.pipeline import Pipeline
from edge.policy import Basis, Offload, Permissions, Setting, decide
from edge.protocol import AnyMessage, Command, Evidence, Mode, Reading, encode
from edge.settings import Config, ModelSettings
from edge.temporal import TemporalFilter
from edge.windows import WindowCutter

HEADER = {"schema", "id", "session", "seq", "ts", "clock_synced", "mode"}
LABELS = {*EMOTIONS, *SPEECH_EMOTIONS}
KEYS = {
    "aggregate": {"start_s", "end_s", "windows", "k", "expressions", "tones", "faces", "voiced"},
    "birth": {"software", "python", "models", "sources", "config_sha256", "name", "version", "sha256", "runtime"}
    | {"camera", "microphone", "gates", "modalities", "threshold", "alpha", "bound", "coverage"},
    "health": {"uptime_s", "sources", "timings", "outbox_rows", "outbox_bytes", "outbox_dropped", "bytes_written"}
    | {"memory_mb", "temperature_c", "throttled", "camera", "microphone", "state", "rate", "dropped", "error"}
    | {"reading", "verdict", "p50_ms", "p95_ms"},
    "event": {"type", "text", "detail", "error"},
    "reply": {"command_id", "verb", "ok", "text"},
    "reading": {"clip", "start_s", "end_s", "faces", "face", "speech", "fused", "face_quality", "voiced_share"}
    | {"gate", "threshold", "latency_ms", "emotion", "confidence", "probs"},
    "evidence": {"reading_id", "ttl_ms", "crops", "crop_format", "face_quality", "log_mel", "log_mel_format"}
    | {"log_mel_scale", "voiced_share", "models"},
}
"""No boxes, tracks, landmarks, embeddings, identities: what is not named here may not be on the wire."""
STATE = {"birth", "health", "event", "reply"}
CONSENT = {"consent_id": "c-1", "ethics_reference": "EC 4/26"}


class Wire:
    """Takes what goes out, as bytes, with a cloud that is always there."""

    cloud_present = True

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.changed = threading.Condition()

    def publish(self, kind: str, message: AnyMessage) -> None:
        with self.changed:
            self.sent.append((kind, json.loads(encode(message))))
            self.changed.notify_all()

    def request(self, evidence: Evidence) -> bool:
        self.sent.append(("evidence", msgspec.msgpack.decode(encode(evidence))))
        return True

    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.sent}

    def of(self, kind: str) -> list[Any]:
        return [message for each, message in self.sent if each == kind]


def device(mode: str, **changes: dict[str, Any]) -> Config:
    values: dict[str, dict[str, Any]] = {
        "site": {"name": "school", "mode": mode, "setting": "private", "jurisdiction": "US"},
        "privacy": {"offload": "crops", **CONSENT, "consent_expires": time.time() + 3600.0},
        "device": {"name": "room"},
        "window": {"length_s": 3.0},
        "outbox": {"folder": ""},
        "camera": {"source": "/dev/video0"},
        "microphone": {"card": ""},
    }
    for section, keys in changes.items():
        values[section] = values.get(section, {}) | keys
    return build_config(values, environment={})


def keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(keys_of(each) for each in value.values()))
    return set().union(*(keys_of(each) for each in value)) if isinstance(value, list) else set()


def look_through(wire: Wire, allowed: Permissions, mode: str) -> None:
    """Fail for anything on the wire that neither the mode nor the policy lets out."""
    may = STATE | ({"reading"} if allowed.publish_readings else set())
    may |= {"aggregate"} if allowed.publish_aggregates else set()
    may |= {"evidence"} if allowed.send_log_mel or allowed.send_crops else set()
    if mode == "classroom":
        assert "reading" not in may
    if mode == "off":
        assert may == STATE
    assert wire.kinds() <= may
    for kind, message in wire.sent:
        labels = LABELS if kind in ("reading", "aggregate") else set()
        assert keys_of(message) <= HEADER | KEYS[kind] | labels, kind
        assert message["mode"] == mode
        if not allowed.infer and kind == "reading":
            assert (message["face"], message["speech"], message["fused"], message["face_quality"]) == (None,) * 4
        if not allowed.infer and kind == "aggregate":
            assert (message["expressions"], message["tones"]) == (None, None)
        if kind == "evidence":
            assert allowed.send_crops or message["crops"] == []
            assert allowed.send_log_mel or message["log_mel"] is None
            for crop in message["crops"]:
                assert crop[12:16] == b"VP8L"  # the simple format: pixels and nothing beside them
                assert cv2.imdecode(np.frombuffer(crop, np.uint8), cv2.IMREAD_GRAYSCALE).shape == (48, 48)


def silent(records: list[logging.LogRecord]) -> None:
    """Fail for log records that name an emotion or hold numbers about a person."""
    for record in records:
        text = record.getMessage()
        assert not any(label in text.lower().split() for label in LABELS), text
        assert not any(isinstance(each, np.ndarray | list | dict | Reading) for each in record.args or ()), text


class FourFaces:
    """Finds the same four faces in every frame, more quickly than a real detector would."""

    name = "four"

    def detect(self, image: np.ndarray) -> list[Face]:
        return [Face(160.0 + dx, 60.0 + dy, 90.0, 90.0, 1.0, None) for dx in (0, 480) for dy in (0, 360)]


@pytest.fixture(scope="module")
def models() -> Models:
    return load_models(ModelSettings())


@pytest.fixture(scope="module")
def crowd() -> np.ndarray:
    """(720, 960, 3) BGR: one portrait four times."""
    return np.tile(np.asarray(moving_portrait()[0][:, :, ::-1]), (2, 2, 1))


def play(models: Models, crowd: np.ndarray, config: Config, allowed: Permissions, seconds: float) -> Wire:
    """`seconds` of the crowd and a voice through the real pipeline."""
    wire, clock = Wire(), SystemClock()
    headers = Headers(session=1, mode=config.site.mode, clock=clock)
    gate = make_gate(models, config)
    gate._thresholds = dict.fromkeys(gate._thresholds, None)  # nothing is sure: all that may be asked is asked
    pipeline = Pipeline(
        face=FaceStage(FourFaces(), models.face, timer=time.monotonic),
        speech=speech_stage(models),
        fusion=make_fusion(models, config.fusion.rule),
        temporal=TemporalFilter(),
        gate=gate,
        permissions=lambda: allowed,
        outlet=wire,
        headers=headers,
        clock=clock,
        budget_clock=lambda: 0.0,
        cutter=WindowCutter(length_s=config.window.length_s, tail_s=0.0),
        aggregator=make_aggregator(headers, config),
        deadline_ms=1000,
    )
    sound = np.resize(voice(), round(seconds * 16_000))
    for at in np.arange(0.0, seconds, 0.5):
        pipeline.feed(Frame(float(at), crowd))
        pipeline.feed(Sound(float(at), sound[round(at * 16_000) : round((at + 0.5) * 16_000)]))
        pipeline.advance(float(at))
    pipeline.finish(seconds)
    return wire


@pytest.mark.slow
def test_no_mode_lets_out_more_than_its_row(
    models: Models, crowd: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    """Every combination of mode, setting, country, offload, basis, consent and mute, once per outcome."""
    caplog.set_level(logging.DEBUG)
    outcomes: dict[tuple[str, Permissions], Config] = {}
    for mode, setting, country, offload, basis, expires, muted in itertools.product(
        get_args(Mode), get_args(Setting), ("DE", "US"), get_args(Offload), get_args(Basis), (0.0, 1e12), (True, False)
    ):
        site = {"setting": setting, "jurisdiction": country}
        privacy = {"offload": offload, "basis": basis, "consent_expires": expires}
        config = device(mode, site=site, privacy=privacy)
        allowed = decide(config.declared_site(), now=time.time(), muted=muted)
        outcomes.setdefault((mode, allowed), config)
    seen: set[tuple[str, str]] = set()
    for (mode, allowed), config in outcomes.items():
        wire = play(models, crowd, config, allowed, 60.0 if mode == "classroom" else 3.0)
        look_through(wire, allowed, mode)
        if not allowed.open_devices:
            assert wire.sent == []
        seen |= {(mode, kind) for kind in wire.kinds()}
    # What may leave did leave, so the looking through has seen something.
    expected = {(mode, kind) for mode in ("demo", "research", "vehicle") for kind in ("reading", "evidence")}
    assert seen == expected | {("classroom", "aggregate")}
    silent(caplog.records)


class Synced(SystemClock):
    """This machine's clock, taken for right, and `ahead_s` seconds ahead."""

    ahead_s = 0.0

    def wall(self) -> float:
        return super().wall() + self.ahead_s

    def synced(self) -> bool:
        return True


class Running:
    """A real daemon on fake devices, in a thread."""

    def __init__(self, config: Config, models: Models, crowd: np.ndarray, mute: Mute | None = None) -> None:
        self.wire, self.clock, self.opened, self.closed = Wire(), Synced(), [0], [0]
        self.mute = mute or Mute(None)
        self.daemon = Daemon(
            config,
            models,
            outlet=self.wire,
            headers=Headers(session=1, mode=config.site.mode, clock=self.clock),
            clock=self.clock,
            camera=self._counted(lambda: FakeCamera([crowd[:360, :480]], realtime=True)),
            microphone=self._counted(lambda: FakeMicrophone(voice(), realtime=True)),
            mute=self.mute,
            outbox_state=lambda: (0, 0, 0),
        )
        self.thread = threading.Thread(target=self.daemon.run)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.stop()
        self.thread.join(20.0)
        assert not self.thread.is_alive()

    def wait(self, condition: Callable[[], object], within_s: float = 30.0) -> None:
        with self.wire.changed:
            until = time.monotonic() + within_s
            while not condition():
                assert time.monotonic() < until, self.wire.kinds()
                self.wire.changed.wait(0.05)

    def all_closed(self) -> bool:
        return self.opened[0] > 0 and self.closed[0] == self.opened[0]

    def order(self, verb: str, **args: str) -> Any:
        golden = GOLDEN["command"]
        assert isinstance(golden, Command)
        before = len(self.wire.of("reply"))
        self.daemon.on_command(msgspec.structs.replace(golden, verb=verb, args=args))
        self.wait(lambda: len(self.wire.of("reply")) > before)
        return self.wire.of("reply")[-1]

    def _counted(self, opener: Callable[[], Any]) -> Callable[[], Any]:
        def open_counted() -> Any:
            source = opener()
            self.opened[0] += 1
            really_close = source.close

            def close() -> None:
                self.closed[0] += 1
                really_close()

            source.close = close
            return source

        return open_counted


FAST = {"window": {"length_s": 1.0}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "setting", "country"),
    [
        *[(mode, "private", "US") for mode in ("demo", "research", "vehicle", "classroom", "off")],
        ("vehicle", "workplace", "DE"),
        ("classroom", "education", "DE"),
    ],
)
def test_a_daemon_lets_out_no_more_either(
    models: Models, crowd: np.ndarray, caplog: pytest.LogCaptureFixture, mode: str, setting: str, country: str
) -> None:
    caplog.set_level(logging.DEBUG)
    config = device(mode, site={"setting": setting, "jurisdiction": country}, **FAST)
    allowed = decide(config.declared_site(), now=time.time())
    with Running(config, models, crowd) as running:
        running.order("rebirth")
        if allowed.open_devices:
            running.wait(lambda: running.opened[0] == 2)
            running.wait(lambda: any(h["sources"]["camera"]["state"] == "ok" for h in running.wire.of("health")))
        running.wait(lambda: running.wire.of("reading") if allowed.publish_readings else running.wire.of("health"))
        time.sleep(2.5)  # two windows more, in which nothing else may come
    look_through(running.wire, allowed, mode)
    assert running.opened[0] == (2 if allowed.open_devices else 0)
    silent([record for record in caplog.records if record.name.startswith("edge")])


def test_a_consent_that_ends_closes_the_devices_of_a_running_daemon(models: Models, crowd: np.ndarray) -> None:
    config = device("research", privacy={"offload": "never", "consent_expires": time.time() + 3600.0}, **FAST)
    with Running(config, models, crowd) as running:
        running.wait(lambda: running.wire.of("reading"))
        assert running.wire.of("reading")[0]["face"] is not None
        running.clock.ahead_s = 3601.0
        running.wait(running.all_closed)
        running.wait(lambda: running.wire.of("event")[-1]["type"] == "policy-changed")
        assert "consent" in running.wire.of("event")[-1]["text"]
        count = len(running.wire.of("reading"))
        time.sleep(1.5)
        assert len(running.wire.of("reading")) == count
    assert running.opened[0] == 2


@pytest.mark.parametrize("mode", get_args(Mode))
def test_no_command_loosens_anything(models: Models, crowd: np.ndarray, mode: str) -> None:
    """Every verb of the protocol, with arguments that ask for more."""
    verbs = get_args({field.name: field.type for field in msgspec.structs.fields(Command)}["verb"])
    assert "mute" in verbs
    running = Running(device(mode, site={"setting": "workplace", "jurisdiction": "DE"}), models, crowd)
    before = vars(running.daemon.permissions())
    for verb in [*verbs, *reversed(verbs)]:
        running.order(verb, mode="demo", on="false", offload="crops", basis="safety", k="1", threshold="0", mute="no")
        after = vars(running.daemon.permissions())
        assert all(before[name] or not after[name] for name in before if name != "why"), verb
        before = after
    assert not running.daemon.permissions().open_devices
    assert "muted" in running.daemon.permissions().why


def test_the_local_alert_needs_no_network_and_ends_with_a_mute(models: Models, crowd: np.ndarray) -> None:
    alert = {"emotions": ",".join(EMOTIONS), "level": 0.5, "duration_s": 2.0, "repeat_s": 1.0, "sound": False, "pin": 5}
    with Running(device("vehicle", alert=alert, **FAST), models, crowd) as running:
        running.wait(lambda: "local-alert" in [event["type"] for event in running.wire.of("event")])
        assert running.order("mute")["ok"]
        running.wait(running.all_closed)
        raised = [event["type"] for event in running.wire.of("event")].count("local-alert")
        time.sleep(2.5)
        assert [event["type"] for event in running.wire.of("event")].count("local-alert") == raised
