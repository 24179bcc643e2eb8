"""The README's picture: a job's page with its wall. `python docs/wall.py http://127.0.0.1:PORT/jobs/job-108`, of a demo with `--keep`."""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

OUT = Path(__file__).parent / "wall.webp"


def main(url: str) -> None:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 960}, color_scheme="dark")
        page.goto(url)
        page.wait_for_timeout(1_500)
        picture = page.screenshot()
        chromium.close()
    Image.open(io.BytesIO(picture)).save(OUT, quality=80, method=6)


if __name__ == "__main__":
    main(sys.argv[1])
