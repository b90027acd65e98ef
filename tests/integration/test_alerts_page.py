"""From a device's reading to the alert on the page, on MQTT and in the mail; and back, acknowledged and cleared."""

import json
import queue
import socket
import time

import httpx
import pytest
from aiosmtpd.controller import Controller
from cloud_messages import health, reading
from cloud_service import CloudProcess, Device
from playwright.sync_api import expect

READY = '#status[data-state="open"]'

pytestmark = pytest.mark.slow


class Box:
    """Keeps the mails that come."""

    def __init__(self):
        self.mails = queue.Queue()

    def wait_for(self, text):
        """Return the next mail with `text` in it."""
        while True:
            content = self.mails.get(timeout=120).content
            if text in content:
                return content

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        self.mails.put(envelope)
        return "250 OK"


@pytest.fixture(scope="module")
def mailbox():
    box = Box()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield port, box
    controller.stop()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory, mailbox):
    mail = ("--smtp", f"smtp://127.0.0.1:{mailbox[0]}", "--mail-from", "mien@example.org")
    with CloudProcess(tmp_path_factory.mktemp("alerts"), "--no-worker", *mail) as running:
        yield running


@pytest.fixture(scope="module")
def expected_complaints():
    return ("status of 422",)


@pytest.fixture
def page(cloud, open_page):
    return open_page(f"{cloud.web}/alerts", ready=READY)


def test_an_alert_from_the_rule_to_the_all_clear(cloud, mailbox, page, photograph):
    _, mails = mailbox
    with Device(cloud.broker_port, "home", "door") as device:
        device.subscribe("mien/v1/home/cloud/alert")
        device.publish("health", health())
        page.reload()
        page.wait_for_selector(READY)
        expect(page.locator("#none")).to_be_visible()
        page.locator("#rules-card summary").focus()
        page.keyboard.press("Enter")
        form = page.locator("#rule-form")
        form.get_by_role("textbox", name="Name").fill("angry at the door")
        form.get_by_role("checkbox", name="angry").check()
        form.get_by_role("checkbox", name="unsure readings").check()
        form.locator("[name=duration_s]").fill("0")
        form.get_by_role("button", name="Make the rule").click()
        expect(page.locator("#rules")).to_contain_text("angry at 60 % or more")
        channel = page.locator("#channel-form")
        channel.locator("[name=kind]").select_option("mail")
        channel.locator("[name=target]").fill("guard@example.org")
        channel.get_by_role("button", name="Add").click()
        expect(page.locator("#channels")).to_contain_text("guard@example.org")

        device.publish("reading", reading(0, "happy", 0.9, gate="sure"))
        device.publish("reading", reading(1, "angry", 0.9))
        notice = json.loads(device.hear("alert", within_s=120))
        assert (notice["event"], notice["device"], notice["rule"]) == ("raised", "door", "angry at the door")
        assert mails.wait_for(b"raised: angry at the door")
        item = page.locator("#open li")
        expect(item).to_contain_text("angry at the door")
        expect(page.locator("#announcer")).to_contain_text("Alert: angry at the door")
        photograph(page, "alerts")
        page.get_by_role("button", name="Acknowledge angry at the door").click()
        expect(page.locator("#open, #earlier")).to_contain_text(["known to local", ""])
        assert json.loads(device.hear("alert", within_s=120))["event"] == "acknowledged"
        assert json.loads(device.hear("alert", within_s=120))["event"] == "cleared"
        expect(page.locator("#earlier")).to_contain_text("angry at the door")
        expect(page.locator("#none")).to_be_visible()


def test_a_rule_that_cannot_be_says_why(page):
    page.locator("#rules-card summary").click()
    form = page.locator("#rule-form")
    form.get_by_role("textbox", name="Name").fill("nothing chosen")
    form.get_by_role("button", name="Make the rule").click()
    expect(form.locator(".problem")).to_contain_text("Choose from")


def test_what_is_to_be_told_outlives_a_kill(tmp_path, mailbox):
    port, mails = mailbox
    arguments = ("--no-worker", "--mail-from", "mien@example.org", "--smtp")
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"smtp://127.0.0.1:{free.getsockname()[1]}"
    with CloudProcess(tmp_path, *arguments, nobody) as cloud, Device(cloud.broker_port, "home", "door") as device:
        device.publish("health", health())
        rule = {"site": "home", "name": "warm", "kind": "temperature", "threshold": 40, "duration_s": 0}
        channel = {"site": "home", "kind": "mail", "target": "guard@example.org"}
        for path, body in (("alert-channels", channel), ("alert-rules", rule)):
            assert httpx.post(f"{cloud.web}/api/{path}", json=body).status_code == 201
        device.publish("health", health())
        deadline = time.monotonic() + 120
        while not cloud.get("/api/counters").get("alerts.failed.mail"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        cloud.process.kill()
        cloud.process.wait()
    with CloudProcess(tmp_path, *arguments, f"smtp://127.0.0.1:{port}"):
        assert mails.wait_for(b"raised: warm")
