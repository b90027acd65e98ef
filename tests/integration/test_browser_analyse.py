"""The pages that analyse, with the full-size models and a real Chromium, whose webcam is a film."""

import re
import time
from pathlib import Path

import av
import cv2
import pytest
from cloud_service import CloudProcess
from media_maker import make_media
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory, yunet):
    with CloudProcess(tmp_path_factory.mktemp("cloud"), "--detector", str(yunet)) as running:
        yield running


@pytest.fixture(scope="module")
def film(sample, tmp_path_factory) -> Path:
    """The demo's portrait as the MJPEG that Chromium's made-up webcam plays."""
    path = tmp_path_factory.mktemp("film") / "face.mjpeg"
    with av.open(str(sample)) as source, av.open(str(path), "w", format="mjpeg") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuvj420p"
        for frame in source.decode(video=0):
            out.mux(stream.encode(frame.reformat(640, 480, "yuvj420p")))
            if frame.time > 2:
                break
        out.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def browser_arguments(film):
    return [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]


@pytest.fixture(scope="module")
def expected_complaints():
    return ("422 (Unprocessable",)


def finished(page):
    expect(page.locator("#result h2").first).to_be_visible()
    expect(page.locator("#working")).to_be_hidden()


def portrait(sample, tmp_path) -> Path:
    with av.open(str(sample)) as source:
        frame = next(source.decode(video=0)).to_ndarray(format="bgr24")
    path = tmp_path / "portrait.png"
    cv2.imwrite(str(path), frame)
    return path


def painted(page, selector):
    """Return how many pixels of a canvas are not empty."""
    pixels = "canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data"
    return page.locator(selector).evaluate(
        f"canvas => {pixels}.filter((value, place) => place % 4 == 3 && value).length"
    )


def test_a_film_a_picture_and_a_text_are_analysed_and_shown(cloud, open_page, sample, tmp_path, photograph):
    film = make_media(tmp_path / "beep.avi", seconds=1.5)
    page = open_page(f"{cloud.web}/analyse")
    page.set_input_files("#files", [sample, portrait(sample, tmp_path), film])
    expect(page.locator("#chosen li")).to_have_count(3)
    page.get_by_label("A text (English), with the files or alone").fill(
        "What a wonderful day! I am so happy. But he was angry."
    )
    page.get_by_role("button", name="Analyse", exact=True).click()
    finished(page)
    tiles = page.locator(".overall .tile h3")
    expect(tiles).to_have_text(["Weighted average", "Majority vote", "Expression", "Vocal tone", "Words"])
    expect(page.locator(".part")).to_have_count(4)
    first, second, third, fourth = page.locator(".part").all()
    first.locator(".main-svg").first.wait_for()
    expect(first.locator('[data-slot="faces"]')).to_contain_text("1 face · face 1:")
    expect(third.locator('[data-slot="notes"]')).to_contain_text("cannot play this kind of file")
    expect(fourth.locator(".sentence").first).to_contain_text("happy")
    second.locator("summary").click()
    expect(second.get_by_role("cell").first).to_have_text("1")
    page.wait_for_function("() => document.querySelector('.part img').complete")
    assert painted(page, ".part:nth-child(2) canvas") > 500
    photograph(page, "result")
    for ending, start in (("CSV", "part,name,row"), ("JSON", '{"schema":"mien.analysis/1"')):
        with page.expect_download() as download:
            page.get_by_role("link", name=ending).click()
        assert Path(download.value.path()).read_text().startswith(start)
    row = page.locator("#list tr").first
    expect(row).to_contain_text("video, image, video, text")
    row.get_by_role("button", name="Delete").click()
    expect(page.locator("#list")).not_to_contain_text("image")


@pytest.mark.parametrize(("name", "width", "scheme"), [("phone", 390, "light"), ("dark", 1200, "dark")])
def test_it_fits_a_phone_and_the_dark_and_is_used_by_keyboard(cloud, open_page, sample, tmp_path, name, width, scheme):
    page = open_page(f"{cloud.web}/analyse", width=width, scheme=scheme)
    page.set_input_files("#files", portrait(sample, tmp_path))
    remove = page.get_by_role("button", name="Remove portrait.png")
    remove.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#chosen li")).to_have_count(0)
    page.set_input_files("#files", portrait(sample, tmp_path))
    page.get_by_role("button", name="Analyse", exact=True).focus()
    page.keyboard.press("Enter")
    finished(page)
    expect(page.locator("#result h2").first).to_be_focused()
    page.wait_for_function("() => document.querySelector('.part img').complete")
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
    assert overflow <= 0


def test_a_result_is_opened_again_with_its_file_only_if_that_was_kept(cloud, open_page, sample, tmp_path):
    page = open_page(f"{cloud.web}/analyse")
    for keep in ("", "1"):
        page.set_input_files("#files", portrait(sample, tmp_path))
        page.get_by_label("What becomes of the files").select_option(keep)
        page.get_by_role("button", name="Analyse", exact=True).click()
        finished(page)
        page.reload()
        page.locator("#list tr").first.get_by_role("button", name="Open").click()
        finished(page)
        if keep:
            expect(page.locator("#list tr").first).to_contain_text("with the file")
            expect(page.locator(".part img")).to_have_js_property("naturalWidth", 480)
        else:
            expect(page.locator("#list tr").first).to_contain_text("no files")
            expect(page.locator('[data-slot="notes"]')).to_contain_text("deleted after the analysis")
            expect(page.locator(".part img")).to_have_count(0)
        assert painted(page, ".part canvas") > 500


def test_a_bad_file_is_explained_and_a_running_one_cancelled(cloud, open_page, tmp_path):
    page = open_page(f"{cloud.web}/analyse")
    page.get_by_role("button", name="Analyse", exact=True).click()
    expect(page.locator("#problem")).to_have_text("Choose or record a file, or type a text.")
    page.set_input_files("#files", {"name": "a.mp4", "mimeType": "video/mp4", "buffer": b"no film"})
    page.get_by_role("button", name="Analyse", exact=True).click()
    expect(page.locator("#problem")).to_contain_text("damaged or not a media file")
    page.screenshot(path=tmp_path / "refused.png")
    page.get_by_role("button", name="Remove a.mp4").click()
    page.set_input_files("#files", make_media(tmp_path / "long.mp4", seconds=590.0, fps=6, rate=16_000))
    page.get_by_role("button", name="Analyse", exact=True).click()
    expect(page.locator("#working-text")).to_have_text(re.compile(r"Analysing: \d+ %"))
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator("#problem")).to_have_text("Cancelled; nothing of it is left.")


def test_a_recording_is_analysed_like_a_file(cloud, open_page):
    page = open_page(f"{cloud.web}/analyse")
    page.get_by_role("button", name="Take a picture").click()
    page.get_by_role("button", name="Take it").click()
    expect(page.locator("#chosen")).to_contain_text("picture.jpg")
    page.get_by_role("button", name="Record video and sound").click()
    page.get_by_role("button", name="Start recording").click()
    expect(page.locator("#recording-state")).to_have_text("Recording: 2 s")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#chosen")).to_contain_text("recording.webm")
    page.get_by_role("button", name="Analyse", exact=True).click()
    finished(page)
    expect(page.locator(".part h3").first).to_contain_text("picture.jpg (image")
    expect(page.locator(".part h3").nth(1)).to_contain_text("recording.webm (video")


def drawn(page):
    """Return how often the webcam page has drawn boxes so far."""
    return int(page.locator("#boxes").get_attribute("data-drawn"))


def test_the_webcam_page_draws_boxes_as_they_come(cloud, open_page, tmp_path):
    page = open_page(f"{cloud.web}/webcam")
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#link")).to_have_text("On")
    expect(page.locator("#word")).to_have_text(re.compile(r"\w+ \d+ %"))
    before, started_s = drawn(page), time.monotonic()
    page.wait_for_function(f"() => document.getElementById('boxes').dataset.drawn >= {before + 20}")
    rate = (drawn(page) - before) / (time.monotonic() - started_s)
    print(f"\nwebcam page: boxes drawn {rate:.1f} times a second; it says {page.locator('#rate').text_content()!r}")
    assert rate > 1 / 3
    assert painted(page, "#boxes") > 500
    expect(page.locator("#announcer")).to_contain_text("face")
    page.screenshot(path=tmp_path / "webcam.png")
    page.get_by_role("button", name="Stop the camera").click()
    expect(page.locator("#link")).to_have_text("Off")
