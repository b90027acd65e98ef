"""Every page as every role meets it: signed in and used by keyboard, and looked through by axe-core."""

import json
import re
import time

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from cloud_messages import availability, birth, head, health, reading
from cloud_models import write_models
from cloud_service import CloudProcess, Device
from playwright.sync_api import expect
from sqlalchemy.orm import Session

from cloud.accounts import passwords
from cloud.accounts.roles import ROLES, Grant, Permission
from cloud.accounts.sessions import log_in, log_out
from cloud.accounts.users import create_user
from cloud.api.access import COOKIE
from cloud.store import Database
from edge.protocol import PREFIX, Command, Reply, decode

PASSWORD = "correct horse battery"
MOST_TABS = 80
MENUS = {
    "viewer": ["Live", "History", "Alerts", "Analyse", "Webcam"],
    "operator": ["Live", "History", "Alerts", "Analyse", "Webcam"],
    "technician": ["History", "Alerts"],
    "auditor": ["History", "Alerts", "Audit log"],
    "admin": ["Live", "History", "Alerts", "Analyse", "Webcam", "Data", "Accounts", "Audit log"],
}
ADDRESSES = {"/": "Live", "/data": "Data", "/users": "Accounts", "/audit": "Audit log", "/analyse": "Analyse"}
PAGES = {
    "/": "article .main-svg",
    "/history": '#status[data-state="open"]',
    "/alerts": '#status[data-state="open"]',
    "/analyse": "#list tr:not(.loading)",
    "/webcam": "#switch",
    "/data": "#sites section",
    "/users": "#users tr:not(.loading)",
    "/audit": "#lines tr:not(.loading)",
    "/account": "#token-form",
    "/api/docs": "h2",
    "/no-such-page": ".panel",
}
"""Address and what is there once the page is filled."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    database = Database(folder / "data")
    with pytest.MonkeyPatch.context() as patch, Session(database.engine) as session, session.begin():
        patch.setattr(passwords, "ROUNDS", 4)
        for role in ROLES:
            create_user(session, role, PASSWORD, [Grant("school", role)], actor="test", now=time.time())
    database.close()
    models = str(write_models(folder / "models"))
    with CloudProcess(folder, "--models", models, "--open-registration", accounts=True) as running:
        for site, name in (("school", "door"), ("elsewhere", "secret")):
            with Device(running.broker_port, site, name) as device:
                device.publish("availability", availability(), retain=True)
                device.publish("birth", birth(), retain=True)
                device.publish("health", health())
                device.publish("reading", reading(0, "happy", 0.9, gate="sure"))
        yield running


@pytest.fixture(scope="module")
def expected_complaints():
    return "status of 401", "status of 403", "status of 404", "status of 422"


@pytest.fixture(scope="module")
def sessions(cloud):
    """Role -> the cookie of somebody who is logged in."""
    database = Database(cloud.data, exclusive=False)
    yield {role: log_in(database.engine, role, PASSWORD, now=time.time()) for role in ROLES}
    database.close()


def tab_to(page, target):
    """Press Tab until the focus is there, as somebody does who has no mouse."""
    expect(target).to_be_visible()
    for _ in range(MOST_TABS):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} cannot be reached by keyboard")


def press(page, role, name):
    """Reach a link or button by Tab, see that the focus shows, and press Enter."""
    target = page.get_by_role(role, name=name, exact=True)
    tab_to(page, target)
    assert target.evaluate("element => getComputedStyle(element).outlineStyle") != "none", "the focus does not show"
    page.keyboard.press("Enter")


def fill(page, name, text, within=None):
    """Reach a field by Tab and type."""
    tab_to(page, (within or page).get_by_label(name, exact=True))
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def go(page, name):
    """Choose a page of the menu by keyboard."""
    press(page, "link", name)
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


@pytest.fixture
def signed_in(cloud, open_page):
    """Sign in by keyboard alone; yield the page where that leads."""

    def sign_in(role):
        page = open_page(cloud.web, ready="#login-form")
        expect(page.get_by_label("Login")).to_be_focused()
        page.keyboard.type(role)
        page.keyboard.press("Tab")
        page.keyboard.type("a wrong password")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("wrong")
        fill(page, "Password", PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name=role, exact=True)).to_be_visible()
        expect(page.locator(".menu a")).to_have_text(MENUS[role])
        for address, name in ADDRESSES.items():
            if name not in MENUS[role] and address != "/":
                answer = page.request.get(f"{cloud.web}{address}")
                assert (answer.status, "Not with your role" in answer.text()) == (403, True)
        return page

    return sign_in


def test_a_viewer_sees_the_room_and_analyses_a_text(signed_in):
    page = signed_in("viewer")
    card = page.locator('article[data-key="school/door"]')
    expect(card.locator('[data-slot="final-word"]')).to_have_text("happy")
    expect(card.locator('[data-slot="final-share"]')).to_have_text("90 % confidence")
    expect(page.locator("article")).to_have_count(1)
    go(page, "Alerts")
    expect(page.locator("#none")).to_be_visible()
    expect(page.locator("#rules-card, #channel-form")).to_have_count(0)
    go(page, "History")
    expect(page.locator("#perception")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("secret")
    go(page, "Analyse")
    fill(page, "A text (English), with the files or alone", "What a wonderful day! I am so happy.")
    press(page, "button", "Analyse")
    heading = page.get_by_role("heading", name="All together")
    expect(heading).to_be_focused()
    expect(page.locator(".part .sentence").first).to_contain_text("happy")
    press(page, "button", "Delete")
    expect(page.locator("#list")).to_contain_text("None yet.")
    expect(heading).to_be_hidden()
    press(page, "button", "Log out")
    expect(page.get_by_label("Login")).to_be_focused()


def test_an_operator_makes_a_rule_and_acknowledges_its_alert(cloud, signed_in):
    page = signed_in("operator")
    go(page, "Alerts")
    expect(page.locator("#channel-form")).to_have_count(0)
    summary = page.locator("#rules-card summary")
    tab_to(page, summary)
    page.keyboard.press("Enter")
    form = page.locator("#rule-form")
    fill(page, "Name", "warm room", form)
    tab_to(page, form.get_by_label("About"))
    page.keyboard.type("temp")
    fill(page, "At least, °C", "40", form)
    fill(page, "For, seconds", "0", form)
    press(page, "button", "Make the rule")
    expect(page.locator("#rules")).to_contain_text("40 °C or more")
    with Device(cloud.broker_port, "school", "door") as device:
        device.publish("health", health(temperature_c=61.0))
        press(page, "button", "Acknowledge warm room at door")
    expect(page.locator("#open li")).to_contain_text("known to operator")


def test_a_technician_gets_to_the_devices_and_to_nobodys_face(signed_in):
    page = signed_in("technician")
    expect(page.get_by_role("heading", level=1)).to_have_text("History")
    expect(page.locator("#devices")).to_contain_text("door")
    expect(page.locator("#health-caption")).to_contain_text("no camera or microphone was down")
    expect(page.locator("#perception, #tiles, #cascade")).to_have_count(0)
    expect(page.locator("body")).not_to_contain_text("happy")
    press(page, "link", "door")
    expect(page.get_by_role("combobox", name="Device")).to_have_value("door")


def test_a_technician_asks_a_device_and_reads_its_answer(cloud, signed_in):
    page = signed_in("technician")
    with Device(cloud.broker_port, "school", "door") as device:
        device.subscribe(f"{PREFIX}/school/door/command/+")
        press(page, "button", "Ask door of school")
        dialog = page.get_by_role("dialog", name="Ask door of school")
        choice = dialog.get_by_label("What it shall do")
        expect(choice).to_be_focused()
        for chosen, verb, ok, text in (
            ("", "selftest", False, "camera down"),
            ("Mute", "mute", True, "devices closed"),
        ):
            page.keyboard.type(chosen)
            press(page, "button", "Ask")
            command = decode(Command, device.hear(verb, within_s=60))
            answer = Reply(**head(), command_id=command.id, verb=verb, ok=ok, text=text)
            device.publish("reply", answer, verb)
            place = dialog.get_by_role("status" if ok else "alert")
            expect(place).to_contain_text(text)
            tab_to(page, choice)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_who_may_not_command_is_offered_no_command(cloud, sessions):
    for role, held in ROLES.items():
        html = httpx.get(f"{cloud.web}/history", cookies={COOKIE: sessions[role]}).text
        assert ("command-dialog" in html) == (Permission.COMMAND_DEVICES in held), role


def test_an_auditor_reads_who_did_what(signed_in):
    page = signed_in("auditor")
    expect(page.locator("#perception, #tiles")).to_have_count(0)
    go(page, "Audit log")
    expect(page.locator("#lines")).to_contain_text("user.role")
    expect(page.locator("#lines")).not_to_contain_text("elsewhere")


def test_an_admin_invites_somebody_who_comes_and_gets_a_new_password(cloud, signed_in, open_page):
    page = signed_in("admin")
    go(page, "Accounts")
    expect(page.locator("#users tr")).to_have_count(len(ROLES))
    press(page, "button", "Make a link")
    expect(page.locator("#link")).to_contain_text("shown only now")
    link = re.search(r"http\S+", page.locator("#link").inner_text())[0]

    guest = open_page(link, ready="#register-form")
    expect(guest.get_by_role("heading", level=1)).to_have_text("You are invited")
    guest.keyboard.type("grace")
    fill(guest, "Password, 10 characters at least", PASSWORD)
    guest.keyboard.press("Enter")
    expect(guest.locator(".menu a")).to_have_text(MENUS["viewer"])

    page.reload()
    row = page.locator("#users tr", has_text="grace")
    tab_to(page, row.get_by_role("button", name="New password"))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="A new password of grace")
    expect(dialog.get_by_label("10 characters at least")).to_be_focused()
    page.keyboard.type("something else altogether")
    page.keyboard.press("Enter")
    expect(row).to_contain_text("has to change the password")
    guest.reload()
    expect(guest.get_by_label("Login")).to_be_focused()
    guest.keyboard.type("grace")
    fill(guest, "Password", "something else altogether")
    guest.keyboard.press("Enter")
    expect(guest.locator("main")).to_contain_text("Please choose your own first")
    expect(guest.locator(".menu")).to_have_count(0)

    go(page, "Data")
    fill(page, "Readings and verdicts", "7")
    press(page, "button", "Save")
    expect(page.locator(".done")).to_contain_text("within the hour")


def looked_through(page):
    """Return what axe-core finds wrong on the page as it stands: rule, how many times, the first place."""
    found = Axe().run(
        page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    )
    return [(one["id"], len(one["nodes"]), one["nodes"][0]["html"][:200]) for one in found.response["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong_with_any_page(cloud, open_page, sessions, photograph, scheme):
    wrong = {}
    for address in ("/login", "/register"):
        wrong[address] = looked_through(open_page(f"{cloud.web}{address}", ready="form", scheme=scheme))
    page = open_page(f"{cloud.web}/account", ready=PAGES["/account"], scheme=scheme, session=sessions["admin"])
    for address, ready in PAGES.items():
        page.goto(f"{cloud.web}{address}")
        page.wait_for_selector(ready)
        for summary in page.locator("summary:visible").all():
            summary.click()
        wrong[address] = looked_through(page)
        if scheme == "dark":
            photograph(page, address.replace("/", "") or "live")
    page.goto(f"{cloud.web}/users")
    page.get_by_role("button", name="Roles").first.click()
    wrong["a dialog"] = looked_through(page)
    page.goto(f"{cloud.web}/history")
    page.get_by_role("button", name="Ask door of school").click()
    wrong["a command"] = looked_through(page)
    page.goto(f"{cloud.web}/analyse")
    page.locator("[name=text]").fill("What a wonderful day!")
    page.get_by_role("button", name="Analyse", exact=True).click()
    expect(page.get_by_role("heading", name="All together")).to_be_visible()
    wrong["a result"] = looked_through(page)
    assert {place: found for place, found in wrong.items() if found} == {}, json.dumps(wrong, indent=1)


@pytest.mark.parametrize("address", ["/", "/alerts"])
def test_whose_session_has_ended_logs_in_again_and_comes_back(cloud, open_page, address):
    database = Database(cloud.data, exclusive=False)
    session = log_in(database.engine, "viewer", PASSWORD, now=time.time())
    page = open_page(f"{cloud.web}{address}?from=test", ready=PAGES[address], session=session)
    log_out(database.engine, session, now=time.time())
    database.close()
    expect(page.get_by_label("Login")).to_be_focused()
    page.keyboard.type("viewer")
    fill(page, "Password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{cloud.web}{address}?from=test")


def test_who_wants_no_motion_gets_none(cloud, open_page, sessions):
    page = open_page(cloud.web, ready=PAGES["/"], session=sessions["viewer"])
    moving = """() => [...document.querySelectorAll("*")].filter((one) => {
        const style = getComputedStyle(one);
        return style.animationName !== "none" || style.transitionDuration.split(", ").some((time) => time !== "0s");
    }).length"""
    assert page.evaluate(moving) > 0
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == 0
