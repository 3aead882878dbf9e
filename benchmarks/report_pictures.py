"""First screens of a report on a desktop and a phone, and the time to the first paint.

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
SIZES = {"desktop": (1280, 1200), "phone": (390, 1200)}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
SETTLED_MS = 300


def take(page: Path, folder: Path) -> dict[str, float]:
    """Take a picture of the first screen at each size.

    Args:
        page: The report.
        folder: Folder of the `report-<name>.png`.

    Returns:
        Milliseconds to the first paint, by name.
    """
    from playwright.sync_api import sync_playwright

    found = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name, (width, height) in SIZES.items():
            view = browser.new_page(viewport={"width": width, "height": height})
            view.goto(page.as_uri())
            view.wait_for_timeout(SETTLED_MS)
            found[name] = float(view.evaluate(PAINT))
            _save(view.screenshot(), folder / f"report-{name}.png")
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
