"""The live page in a real Chromium, over a real broker."""

import re
import time

import pytest
from brokers import free_port
from cloud_messages import availability, birth, certain, event, evidence, health, reading, spread, tone
from cloud_models import write_models
from cloud_service import CloudProcess, Device
from playwright.sync_api import expect

READY = '#link[data-state="open"]'


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return str(write_models(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory, models):
    with CloudProcess(tmp_path_factory.mktemp("cloud"), "--models", models) as running:
        yield running


@pytest.fixture(scope="module")
def expected_complaints():
    return ("ERR_CONNECTION_REFUSED",)


def word(page, device, slot):
    return page.locator(f'article[data-key="{device}"] [data-slot="{slot}"]')


def test_the_page_shows_a_reading_within_a_second_and_then_its_verdict(cloud, open_page, tmp_path):
    page = open_page(cloud.web, ready=READY)
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#empty")).to_contain_text(f"mqtt://127.0.0.1:{cloud.broker_port}")
    with Device(cloud.broker_port, "home", "front-door") as device:
        device.publish("availability", availability(), retain=True)
        device.publish("birth", birth(), retain=True)
        device.publish("health", health())
        times_s = []
        for seq, emotion in enumerate(["sad", "happy", "angry", "fear", "sad"]):
            published = time.perf_counter()
            sent = reading(seq, emotion, 0.55)
            device.publish("reading", sent)
            page.locator(f'[data-slot="final-word"]:text-is("{emotion}")').wait_for()
            times_s.append(time.perf_counter() - published)
        print(f"\nfrom the broker to the page: {[round(1000 * one) for one in times_s]} ms")
        assert max(times_s) < 1.0
        expect(word(page, "home/front-door", "final-unsure")).to_be_visible()
        expect(word(page, "home/front-door", "outcome")).to_contain_text("the cloud has been asked")
        page.screenshot(path=tmp_path / "waiting.png")

        device.publish("evidence", evidence(sent.id))
        expect(word(page, "home/front-door", "final-word")).to_have_text("happy")
        expect(word(page, "home/front-door", "outcome")).to_have_text(
            "corrected by the cloud; the device said sad (55 %)"
        )
        expect(word(page, "home/front-door", "final-unsure")).to_be_hidden()
        expect(word(page, "home/front-door", "state")).to_have_text("online")
        expect(word(page, "home/front-door", "health")).to_contain_text("camera 5.0 fps · microphone 1.0 s/s")
        page.wait_for_selector(".main-svg")
        page.screenshot(path=tmp_path / "corrected.png", full_page=True)
    expect(page.locator("#empty")).to_be_hidden()
    expect(page.locator("main")).to_contain_text("do not tell what a person feels")


def fill(port):
    """Three devices as they might be: a talking one, one that only listens, one that was lost."""
    now = time.time()
    with Device(port, "school", "entrance") as seeing, Device(port, "school", "library-2") as hearing:
        for device in (seeing, hearing):
            device.publish("availability", availability(), retain=True)
            device.publish("birth", birth(), retain=True)
            device.publish("health", health())
        for seq in range(36):
            confidence = 0.45 + (seq * 7 % 11) / 20
            face = spread(("neutral", "happy", "surprise")[seq // 12], min(confidence, 0.97), seq)
            gate = "sure" if confidence > 0.7 else ("over-budget" if seq % 5 == 0 else "requested")
            speech = tone("calm", 0.6) if seq % 3 else None
            sent = reading(seq, ts=now - 3 * (36 - seq), face=face, fused=face, speech=speech, gate=gate)
            seeing.publish("reading", sent)
            if gate == "requested" and seq % 4:
                seeing.publish("evidence", evidence(sent.id, crops=[] if seq % 7 == 0 else evidence(sent.id).crops))
        for seq in range(9):
            voice = {"face": None, "faces": 0, "face_quality": None, "speech": tone("sad", 0.5), "voiced_share": 0.8}
            fused = certain("sad", 0.5)
            hearing.publish("reading", reading(seq, ts=now - 3 * (9 - seq), fused=fused, gate="cloud-away", **voice))
    lost = Device(port, "fleet", "bus-12").__enter__()
    lost.publish("availability", availability(), retain=True)
    lost.publish("event", event(), "camera-lost")
    lost.publish("reading", reading(0, "happy", 0.91, ts=now, gate="sure", faces=2))
    lost.drop()


@pytest.mark.slow
def test_many_devices_on_desktop_phone_and_in_the_dark(cloud, open_page, tmp_path):
    fill(cloud.broker_port)
    sizes = {"desktop": (1200, "light"), "phone": (390, "light"), "dark": (1200, "dark")}
    for name, (width, scheme) in sizes.items():
        page = open_page(cloud.web, ready=READY, width=width, scheme=scheme)
        expect(word(page, "school/entrance", "tally")).to_have_text(
            re.compile(r"kept on the device · \d+ corrected .* · \d+ confirmed .* · \d+ refused .* · \d+ left unsure")
        )
        expect(word(page, "fleet/bus-12", "state")).to_have_text("lost: connection broken")
        expect(word(page, "fleet/bus-12", "health")).to_contain_text("camera-lost")
        expect(word(page, "school/library-2", "face-word")).to_have_text("no face")
        expect(word(page, "school/library-2", "speech-unsure")).to_be_visible()
        expect(word(page, "school/library-2", "outcome")).to_have_text("unsure; the cloud was not there to ask")
        for card in page.locator("article").all():
            card.locator(".main-svg").first.wait_for()
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, name
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)


MERGE = """async ([reading, verdict]) => {
    const { State } = await import("/static/state.js");
    const late = { ...reading, id: "B", at: reading.at - 5 };
    const state = new State();
    for (const message of [verdict, reading, reading, late, verdict]) state.mergeMessage(message);
    state.mergeReadings([reading, late]);
    const device = state.devices.get("home/front-door");
    return device.readings.map((one) => [one.id, one.final.emotion]);
}"""


def test_messages_that_come_twice_or_in_disorder_are_merged(cloud, open_page):
    at_home = {"site": "home", "device": "front-door", "at": 100.0, "received_at": 100.0}
    said = at_home | {"kind": "reading", "id": "A", "fused": {"emotion": "sad"}, "verdict": None}
    judged = at_home | {"kind": "verdict", "reading_id": "A", "status": "ok", "fused": {"emotion": "happy"}}
    assert open_page(cloud.web, ready=READY).evaluate(MERGE, [said, judged]) == [["B", "sad"], ["A", "happy"]]


def test_the_page_can_be_used_by_keyboard_and_screen_reader(cloud, open_page):
    with Device(cloud.broker_port, "home", "hall") as device:
        device.publish("reading", reading(0, "surprise", 0.9, gate="sure"))
        page = open_page(cloud.web, ready=READY)
        card = page.locator('article[data-key="home/hall"]')
        summary = card.locator("summary")
        summary.focus()
        page.keyboard.press("Enter")
        expect(card.get_by_role("table")).to_be_visible()
        expect(card.get_by_role("cell", name="surprise 90 %").first).to_be_visible()
        expect(card.locator(".chart")).to_have_attribute("aria-hidden", "true")
        announcer = page.locator("#announcer")
        expect(announcer).to_have_attribute("aria-live", "polite")
        expect(announcer).not_to_be_empty()


@pytest.mark.slow
def test_the_page_says_that_the_connection_is_lost_and_comes_back(open_page, tmp_path):
    port = str(free_port())
    arguments = ["--no-worker", "--port", port]
    with CloudProcess(tmp_path, *arguments) as cloud, Device(cloud.broker_port) as device:
        device.publish("reading", reading(0, "sad", 0.9, gate="sure"))
        page = open_page(cloud.web, ready=READY)
        expect(word(page, "home/front-door", "final-word")).to_have_text("sad")
    expect(page.locator("#link")).to_contain_text("Connection lost")
    page.screenshot(path=tmp_path / "lost.png")
    with CloudProcess(tmp_path, *arguments) as cloud, Device(cloud.broker_port) as device:
        device.publish("reading", reading(1, "happy", 0.9, gate="sure"))
        expect(page.locator("#link")).to_have_text("Connected")
        expect(word(page, "home/front-door", "final-word")).to_have_text("happy")
