"""One Chromium for a module of tests, and pages in it whose every complaint fails the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
WAIT_MS = 120_000
"""Generous: nothing waits so long on a machine that is not busy with other things."""

PLAYWRIGHT_MS = 5_000
"""Playwright's own, for the modules that come after."""

FITS = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
SCREENS = ("desktop", 1200, "light"), ("dark", 1200, "dark"), ("phone", 390, "light")
"""The screens that every page has to look right on: name, width, color scheme."""


class OpenPage(Protocol):
    """What the fixture `open_page` gives."""

    def __call__(
        self, url: str, *, ready: str = ..., width: int = ..., scheme: Any = ..., session: str | None = ...
    ) -> Page: ...


@pytest.fixture(scope="module")
def browser_arguments() -> list[str]:
    """More arguments for the module's Chromium; a module with a webcam has its own."""
    return []


@pytest.fixture(scope="module")
def expected_complaints() -> tuple[str, ...]:
    """Parts of what the console may say in this module, because the tests provoke it."""
    return ()


@pytest.fixture(scope="module")
def browser(browser_arguments: list[str]) -> Iterator[Browser]:
    """A Chromium of the module's own."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS + browser_arguments)
        expect.set_options(timeout=WAIT_MS)
        yield launched
        expect.set_options(timeout=PLAYWRIGHT_MS)
        launched.close()


@pytest.fixture
def open_page(browser: Browser, expected_complaints: tuple[str, ...]) -> Iterator[OpenPage]:
    """Open pages, each with cookies of its own; `session` is the cookie of who is logged in."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_it(
        url: str, *, ready: str = "main", width: int = 1200, scheme: Any = "light", session: str | None = None
    ) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        if session is not None:
            context.add_cookies([{"name": "mien_session", "value": session, "url": url}])
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(url)
        page.wait_for_selector(ready)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert [text for text in complaints if not any(part in text for part in expected_complaints)] == []


@pytest.fixture
def photograph(tmp_path: Path) -> Any:
    """Take pictures of a page as it is on a desk, in the dark and on a phone, where nothing may stick out."""

    def take(page: Page, name: str) -> None:
        for kind, width, scheme in SCREENS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            page.wait_for_function(FITS)  # charts take a moment
            page.screenshot(path=tmp_path / f"{name}-{kind}.png", full_page=True)
        page.set_viewport_size({"width": 1200, "height": 900})
        page.emulate_media(color_scheme="light")

    return take
