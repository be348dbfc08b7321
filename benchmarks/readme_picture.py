"""Take the README's picture: `python benchmarks/readme_picture.py` writes docs/compare.png and prints what it shows.

Needs what `dashboard_speed.py` needs: playwright and a Chromium.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from dashboard_speed import FLAGS, serving, settled
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parents[1] / "docs" / "compare.png"
SIZE = {"width": 1180, "height": 1050}
CLIP = {"x": 0, "y": 50, "width": 1180, "height": 1000}


def main() -> None:
    """Open Compare as a newcomer finds it, and take its picture."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium on this machine; Debian: apt-get install chromium")
    with serving() as (address, _), sync_playwright() as driver:
        page = driver.chromium.launch(executable_path=chromium, args=FLAGS).new_page(viewport=SIZE)
        page.set_default_timeout(180_000)
        page.goto(f"{address}/compare?model=gpt2")
        settled(page)
        page.wait_for_timeout(2000)
        page.screenshot(path=PICTURE, clip=CLIP)
        print(page.get_by_role("heading", name="worth considering").inner_text())
        print(page.get_by_role("figure").first.get_attribute("aria-label"))


if __name__ == "__main__":
    main()
