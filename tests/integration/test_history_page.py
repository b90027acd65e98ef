"""The pages of history and of data in a real Chromium, over a store that has some days in it."""

import json
import math
import random
import re
import time

import pytest
from cloud_messages import birth, head, health, reading, spread, verdict
from cloud_service import CloudProcess
from playwright.sync_api import expect

from cloud.arrivals import Arrival
from cloud.store import Database, save
from edge.emotions import EMOTIONS
from edge.protocol import Aggregate, Percentiles, SourceHealth

DAY_S = 86_400.0
pytestmark = pytest.mark.slow
READY = '#status[data-state="open"]'


def a_week(now):
    """Readings of a room in use by day, health, a camera that fails, and a classroom's aggregates."""
    dice = random.Random(3)
    for number in range(599, 0, -1):
        at = now - number * 7 * DAY_S / 600
        hour = at % DAY_S / 3600
        if 6 <= hour <= 20:
            emotion = dice.choices(EMOTIONS, [2, 1, 1, 5 + 4 * math.sin(hour), 3, 2, 9])[0]
            gate = dice.choice(["sure", "sure", "requested", "cloud-away"])
            said = reading(number, gate=gate, ts=at, fused=spread(emotion, dice.uniform(0.4, 0.95), number))
            yield "door", said, at
            if gate == "requested":
                yield "door", verdict(said.id, dice.choice([emotion, emotion, "sad"]), ts=at), at
        camera = SourceHealth(state="down" if number == 300 else "ok", rate=5.0, dropped=0)
        warm = 48 + 14 * math.sin(hour / 4) + dice.random()
        timings = {"reading": Percentiles(p50_ms=38.0, p95_ms=60 + 40 * dice.random())}
        yield "door", health(ts=at, temperature_c=warm, sources={"camera": camera}, timings=timings), at
        crowd = head(ts=at, mode="classroom") | {"start_s": 0.0, "end_s": 60.0, "windows": 20, "k": 3, "tones": None}
        yield "class", Aggregate(**crowd, expressions={"neutral": 9, "happy": 3 * (number % 3)}), at


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    database = Database(folder / "data")
    now = time.time()
    save(database.engine, [Arrival("school", device, message, at) for device, message, at in a_week(now)])
    save(database.engine, [Arrival("school", "door", birth(), now), Arrival("home", "hall", reading(ts=now - 90), now)])
    database.close()
    with CloudProcess(folder, "--no-worker") as running:
        yield running


@pytest.fixture(scope="module")
def expected_complaints():
    return ("status of 500",)


def drawn(page, name):
    page.locator(f"#{name}-plot .main-svg").first.wait_for()
    return page.locator(f"#{name}-plot")


def test_a_week_is_drawn_on_every_screen(cloud, open_page, photograph):
    page = open_page(f"{cloud.web}/history?site=school&span={7 * DAY_S:.0f}", ready=READY)
    for plot in ("perception", "crowd", "cascade", "latency", "health"):
        drawn(page, plot)
    traces = page.evaluate("document.getElementById('perception-plot').data.map((one) => one.name)")
    assert traces == list(EMOTIONS)
    heights = page.evaluate("document.getElementById('perception-plot').data.map((one) => Math.max(...one.y))")
    assert 0 < max(heights) <= 1
    assert "door" in page.locator("#devices").inner_text()
    photograph(page, "history")


def test_the_numbers_on_the_page_are_those_of_the_service(cloud, open_page):
    page = open_page(f"{cloud.web}/history?site=school&device=door&span={7 * DAY_S:.0f}", ready=READY)
    now = time.time()
    totals = cloud.get(f"/api/history?site=school&device=door&from={now - 7 * DAY_S}&until={now}")["totals"]
    shown = page.locator("#tiles").inner_text()
    assert f"{totals['n']}" in shown
    assert f"{round(100 * totals['asked'] / totals['perceived'])} %" in shown
    assert f"{round(100 * totals['agreed'] / totals['compared'])} %" in shown
    expect(page.locator("#caption")).to_contain_text(f"{totals['n']} readings")
    page.locator("#perception summary").focus()
    page.keyboard.press("Enter")
    rows = page.locator("#rows tr")
    assert sum(int(row.split("\t")[1]) for row in rows.all_inner_texts()) == totals["n"]


def test_dragging_and_keys_zoom(cloud, open_page):
    page = open_page(f"{cloud.web}/history?site=school&span={7 * DAY_S:.0f}", ready=READY)
    area = drawn(page, "perception").locator(".nsewdrag").first.bounding_box()
    with page.expect_response(re.compile("/api/history[?]")) as answered:
        page.mouse.move(area["x"] + area["width"] * 0.5, area["y"] + 60)
        page.mouse.down()
        page.mouse.move(area["x"] + area["width"] * 0.6, area["y"] + 60, steps=5)
        page.mouse.up()
    zoomed = answered.value.json()
    assert zoomed["until"] - zoomed["from"] == pytest.approx(0.7 * DAY_S, rel=0.05)
    assert zoomed["step"] < 3600
    page.get_by_role("button", name="Zoom out").focus()
    with page.expect_response(re.compile("/api/history[?]")) as answered:
        page.keyboard.press("Enter")
    wider = answered.value.json()
    assert wider["until"] - wider["from"] == pytest.approx(2 * (zoomed["until"] - zoomed["from"]), rel=0.01)


def test_nothing_and_an_error_say_so(cloud, open_page, tmp_path):
    page = open_page(f"{cloud.web}/history?site=home&device=hall&until=1700000000&span=3600", ready=READY)
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#shown")).to_be_hidden()
    page.route("**/api/history?*", lambda route: route.fulfill(status=500, body="{}"))
    page.get_by_role("button", name="24 hours").click()
    expect(page.locator("#problem")).to_contain_text("error (500)")
    page.screenshot(path=tmp_path / "history-error.png", full_page=True)
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#caption")).to_contain_text("1 reading,")


def test_everything_can_be_named_and_reached(cloud, open_page):
    page = open_page(f"{cloud.web}/history?site=school", ready=READY)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, a")].filter(
            (one) => !(one.textContent.trim() || one.ariaLabel || one.labels?.length)).map((one) => one.outerHTML)"""
    )
    assert nameless == []
    page.get_by_role("combobox", name="Device").select_option("class")
    page.wait_for_selector(READY)
    expect(page.locator("#perception")).to_be_hidden()
    expect(page.locator("#crowd")).to_be_visible()
    assert "device=class" in page.url


def test_data_is_kept_and_erased_from_the_page(cloud, open_page, tmp_path):
    page = open_page(f"{cloud.web}/data", ready="#sites section", scheme="dark")
    card = page.locator("section", has_text="home").first
    card.get_by_label("Readings and verdicts").fill("7")
    card.get_by_role("button", name="Save").click()
    expect(card.locator(".done")).to_contain_text("within the hour")
    (kept,) = (site for site in cloud.get("/api/sites")["sites"] if site["site"] == "home")
    assert kept["retention"]["readings_days"] == 7
    card.get_by_role("button", name="Erase …").click()
    dialog = page.locator("#erase-dialog")
    dialog.get_by_role("textbox").fill("hone")
    dialog.get_by_role("button", name="Erase it").click()
    expect(dialog.locator(".problem")).to_be_visible()
    page.screenshot(path=tmp_path / "data.png", full_page=True)
    dialog.get_by_role("textbox").fill("home")
    dialog.get_by_role("button", name="Erase it").click()
    expect(card.locator(".done")).to_contain_text("1 readings")
    assert [one["site"] for one in cloud.get("/api/sites")["sites"]] == ["school"]
    actions = json.dumps(cloud.get("/api/audit"))
    assert "privacy.erased" in actions
