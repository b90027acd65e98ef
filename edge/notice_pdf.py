"""The sign for the door on paper: one page A4, by fpdf2."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from edge.errors import NoticeError
from edge.notice import Notice
from edge.notice_texts import Lang

MARGIN_MM = 20.0
BAND_MM = 62.0
ICON_MM = 34.0
BLUE = (0, 82, 147)
"""ISO 3864's colour of notices that tell what to know."""
GREY = (110, 110, 110)
WHITE = (255, 255, 255)
SIZES_PT = (17.0, 16.0, 15.0, 14.0, 13.0, 12.0, 11.0, 10.0, 9.0, 8.0)
"""Tried from the largest; what does not fit on one page at the last is refused."""
PT_MM = 25.4 / 72.0


def write_pdf(notice: Notice, out: Path, *, lang: Lang, font: Path | None = None) -> None:
    """Write the sign to `out`. Raises NoticeError if fpdf2 is missing, a name cannot be written, or `out` cannot."""
    try:
        fpdf = importlib.import_module("fpdf")
    except ImportError as error:
        fix = "provisioning/install puts it on a device; elsewhere: pip install 'mien[notice]'."
        raise NoticeError("fpdf2 is not installed", fix=fix) from error
    for size_pt in SIZES_PT:
        page = _draw(fpdf, notice, lang, font, size_pt)
        fits = page.page == 1
        content = bytes(page.output()) if fits else b""
        if font is not None:
            for each in page.fonts.values():
                each.ttfont.close()  # fpdf2 leaves the file open
        if fits:
            break
    else:
        raise NoticeError("the sign does not fit on one page", fix="Shorten site.operator and site.contact.")
    try:
        out.write_bytes(content)
    except OSError as error:
        raise NoticeError(f"{out} cannot be written: {error.strerror}", fix="Name another --out.") from error


def _draw(fpdf: Any, notice: Notice, lang: Lang, font: Path | None, size_pt: float) -> Any:
    page = fpdf.FPDF(format="A4")
    page.set_margin(MARGIN_MM)
    page.set_auto_page_break(True, margin=MARGIN_MM)
    page.set_lang(lang)
    page.set_title(notice.title)
    page.add_page()
    family = _family(page, font)
    try:
        _band(page, notice, family)
        for heading, sentences in notice.sections:
            _section(page, heading, sentences, family, size_pt)
        _footer(page, notice.footer, family)
    except fpdf.errors.FPDFUnicodeEncodingException as error:
        fix = "Name a font that can with --font, e.g. /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf."
        raise NoticeError(f"Helvetica has no {error.character!r}", fix=fix) from error
    return page


def _family(page: Any, font: Path | None) -> str:
    if font is None:
        return "helvetica"
    try:
        for style in ("", "B"):
            page.add_font("own", style, str(font))
    except Exception as error:  # fontTools raises whatever a damaged font makes of it
        raise NoticeError(f"{font} is no font that can be used: {error}", fix="Name a .ttf file.") from error
    return "own"


def _band(page: Any, notice: Notice, family: str) -> None:
    page.set_fill_color(*BLUE)
    page.rect(0, 0, page.w, BAND_MM, style="F")
    left = MARGIN_MM
    for drawn, icon in ((notice.camera, _camera), (notice.microphone, _microphone)):
        if drawn:
            icon(page, left, 14.0)
            left += ICON_MM + 6.0
    if left == MARGIN_MM:
        _camera(page, left, 14.0)
        _struck_out(page, left, 14.0)
        left += ICON_MM + 6.0
    page.set_text_color(*WHITE)
    page.set_font(family, "B", 22)
    page.set_xy(left + 2.0, 14.0)
    page.multi_cell(page.w - MARGIN_MM - left - 2.0, 10.0, notice.title, align="L")
    page.set_text_color(0)
    page.set_y(BAND_MM + 6.0)


def _section(page: Any, heading: str, sentences: list[str], family: str, size_pt: float) -> None:
    height_mm = size_pt * PT_MM * 1.3
    page.set_font(family, "B", size_pt + 2.0)
    page.set_text_color(*BLUE)
    page.multi_cell(0, height_mm * 1.3, heading, new_x="LMARGIN", new_y="NEXT")
    page.set_text_color(0)
    page.set_font(family, "", size_pt)
    for sentence in sentences:
        top = page.get_y()
        page.set_fill_color(0)
        page.circle(MARGIN_MM + 1.5, top + height_mm / 2.0, 0.6, style="F")
        page.set_x(MARGIN_MM + 5.0)
        page.multi_cell(0, height_mm, sentence, align="L", new_x="LMARGIN", new_y="NEXT")
        page.ln(0.6)
    page.ln(2.5)


def _footer(page: Any, text: str, family: str) -> None:
    page.set_auto_page_break(False)
    page.set_font(family, "", 8)
    page.set_text_color(*GREY)
    page.set_y(-14.0)
    page.multi_cell(0, 4.0, text, align="L")


def _camera(page: Any, x: float, y: float) -> None:
    """Draw a camera seen from the side, white, in a square of ICON_MM at (x, y)."""
    page.set_fill_color(*WHITE)
    page.rect(x + 1.0, y + 9.0, 22.0, 16.0, style="F", round_corners=True, corner_radius=2.5)
    page.polygon([(x + 24.0, y + 15.0), (x + 33.0, y + 10.0), (x + 33.0, y + 24.0), (x + 24.0, y + 19.0)], style="F")
    page.set_fill_color(*BLUE)
    page.circle(x + 12.0, y + 17.0, 4.5, style="F")
    page.set_fill_color(*WHITE)
    page.circle(x + 12.0, y + 17.0, 2.0, style="F")


def _microphone(page: Any, x: float, y: float) -> None:
    """Draw a microphone on its stand, white, in a square of ICON_MM at (x, y)."""
    page.set_fill_color(*WHITE)
    page.rect(x + 12.5, y + 1.0, 9.0, 18.0, style="F", round_corners=True, corner_radius=4.4)
    page.set_draw_color(*WHITE)
    page.set_line_width(1.8)
    page.arc(x + 8.5, y + 6.0, 17.0, 0, 180, b=17.0, style="D")
    page.line(x + 17.0, y + 23.0, x + 17.0, y + 30.0)
    page.line(x + 11.0, y + 30.5, x + 23.0, y + 30.5)


def _struck_out(page: Any, x: float, y: float) -> None:
    for colour, width_mm in ((BLUE, 5.0), (WHITE, 2.0)):
        page.set_draw_color(*colour)
        page.set_line_width(width_mm)
        page.line(x + 2.0, y + 31.0, x + 31.0, y + 3.0)
