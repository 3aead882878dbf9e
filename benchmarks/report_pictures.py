"""Pictures of a report at the width of a desk and of a telephone, and how long it takes to the first paint.

Example: python -m benchmarks.report_pictures runs/demo/kitchen/20260101-120000
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from io import BytesIO
from pathlib import Path

from g2l.report.render import write_report

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
WIDTHS = {"desktop": 1280, "phone": 390}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
SETTLED_MS = 300


def take(page: Path, folder: Path) -> dict[str, float]:
    """Take a picture of the whole page at each width.

    Args:
        page: The report.
        folder: Where `report-<width>.png` goes.

    Returns:
        Milliseconds to the first paint, by width.
    """
    from playwright.sync_api import sync_playwright

    found = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name, width in WIDTHS.items():
            view = browser.new_page(viewport={"width": width, "height": 900})
            view.goto(page.as_uri())
            view.wait_for_timeout(SETTLED_MS)
            found[name] = float(view.evaluate(PAINT))
            _save(view.screenshot(full_page=True), folder / f"report-{name}.png")
        browser.close()
    return found


def _save(picture: bytes, path: Path) -> None:
    """Write a picture with 256 colours, which makes it three times as small."""
    from PIL import Image

    Image.open(BytesIO(picture)).convert("RGB").quantize(method=Image.Quantize.FASTOCTREE).save(
        path, optimize=True
    )


def main() -> None:
    """Write the report of a run and take its pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="output folder of a run")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="where the pictures go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        write_report({str(arguments.run): arguments.run}, page)
        print(f"{page.stat().st_size / 2**20:.2f} MiB")
        for name, milliseconds in take(page, arguments.figures).items():
            print(f"{name}: first paint after {milliseconds:.0f} ms")


if __name__ == "__main__":
    main()
