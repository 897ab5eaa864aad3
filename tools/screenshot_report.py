"""Take a picture of a report in Chromium, as for ``docs/images/report.png``.

    python tools/screenshot_report.py runs/compare-digits-…/report.html docs/images/report.png --height 1040
    python tools/screenshot_report.py REPORT shot.png --width 390 --dark --whole

The picture shows the top of the page at 1400×900 unless told otherwise. Needs the
``dev`` extra and a ``chromium`` on the PATH.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
]


def shoot(report: Path, width: int, height: int, *, dark: bool, whole: bool, selector: str | None) -> bytes:
    """A PNG of the page, or of the part of it that ``selector`` names."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        sys.exit("screenshot_report: no chromium found on the PATH; install the package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        scheme = "dark" if dark else "light"
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.goto(report.resolve().as_uri())
        picture = page.locator(selector).first.screenshot() if selector else page.screenshot(full_page=whole)
        browser.close()
    return picture


def main() -> None:
    """Read the command line, take the picture, write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", type=Path, help="the report.html of a run")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("--width", type=int, default=1400, help="of the window, pixels [1400]")
    parser.add_argument("--height", type=int, default=900, help="of the window, pixels [900]")
    parser.add_argument("--dark", action="store_true", help="as a reader with a dark desktop sees it")
    parser.add_argument("--whole", action="store_true", help="the whole page instead of its top")
    parser.add_argument("--part", metavar="SELECTOR", help="only this element, as '#leaderboard'")
    wanted = parser.parse_args()
    if not wanted.report.is_file():
        parser.error(f"{wanted.report}: no such file; name the report.html of a run")
    data = shoot(
        wanted.report, wanted.width, wanted.height, dark=wanted.dark, whole=wanted.whole, selector=wanted.part
    )
    picture = Image.open(io.BytesIO(data)).convert("RGB")  # smaller than what Chromium writes
    wanted.picture.parent.mkdir(parents=True, exist_ok=True)
    picture.save(wanted.picture, optimize=True)
    print(
        f"{wanted.picture}: {picture.width}×{picture.height}, {wanted.picture.stat().st_size / 1000:.0f} kB"
    )


if __name__ == "__main__":
    main()
