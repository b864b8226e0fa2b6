"""The page in a real browser: it complains of nothing, asks for nothing, and fits every window."""

import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), "")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--dump-dom",
)  # fmt: skip
HEADINGS = [
    "Summary", "Host", "Results by task class", "Claims under test", "Threads and placement", "Verify cost",
    "Acceptance by source", "Speed and quality", "Noise floors and controls", "Tested and untested", "Runs",
    "Projections", "Retracted",
]  # fmt: skip
TELL = (
    "<script>addEventListener('load', () => { const page = document.documentElement;"
    " parent.postMessage(page.scrollWidth - page.clientWidth, '*') })</script>"
)
"""How far the page reaches beyond its window, in pixels."""
WINDOWS = [(360, "", True), (800, "", True), (960, "", True), (360, '<p style="width: 500px">wide</p>', False)]
"""Widths, something more on the page, and whether it fits."""

pytestmark = [pytest.mark.real, pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")]


def opened(text: str, folder: Path) -> tuple[str, list[str]]:
    """The page's elements after it was opened, and what the browser said on its console."""
    file = folder / "page.html"
    file.write_text(text, encoding="utf-8")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_it_opens_without_a_complaint_and_asks_for_nothing(html: str, tmp_path: Path) -> None:
    dom, said = opened(html, tmp_path)
    assert said == []
    assert re.findall(r"<h2>([^<]+)</h2>", dom) == HEADINGS
    assert dom.count("<data ") == html.count("<data ")


@pytest.mark.parametrize("more", ['<img src="https://example.org/a.png" alt="">', "<script>1</script>"])
def test_a_page_that_asked_for_more_would_be_told_off(more: str, html: str, tmp_path: Path) -> None:
    _, said = opened(html.replace("<main>", f"<main>{more}"), tmp_path)
    assert len(said) == 1 and "Content Security Policy" in said[0]


@pytest.mark.parametrize("width, more, fits", WINDOWS)
def test_it_fits_its_window(width: int, more: str, fits: bool, html: str, tmp_path: Path) -> None:
    """Wide tables scroll within themselves, never the page."""
    inner = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html).replace(
        "</body>", f"{more}{TELL}</body>"
    )
    outer = (
        "<!doctype html><title>?</title>"
        "<script>addEventListener('message', said => document.title = said.data)</script>"
        f'<iframe width="{width}" height="800" style="border: 0" srcdoc="{escape(inner)}"></iframe>'
    )
    dom, _ = opened(outer, tmp_path)
    (beyond,) = re.findall(r"<title>(-?\d+)</title>", dom)
    assert (int(beyond) <= 0) == fits
