"""The report as people see it: in Chromium, by itself and in the artifact viewer of a real MLflow server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from g2l.report.render import write_report
from g2l.tracking.environment import load_mlflow
from tests.report.browser import browser, chromium, served

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (g2l[test])")
pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="there is no chromium (apt install chromium)"),
    pytest.mark.timeout(300),
]
WIDTHS = {"desktop": 1280, "phone": 390}


@pytest.fixture(scope="module")
def report(generated, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report({str(generated): generated}, path)
    return path


@pytest.fixture(scope="module")
def window():
    with browser() as opened:
        yield opened


class Visit:
    """A page that was opened, and all that it complained of."""

    def __init__(self, window, address: str, width: int = 1280, **options):
        self.context = window.new_context(viewport={"width": width, "height": 900}, **options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.complaints.append(m.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.context.close()


@pytest.fixture(scope="module")
def address(report):
    with served(report.parent) as root:
        yield f"{root}/report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_it_opens_without_a_complaint(window, address, width, scheme):
    with Visit(window, address, width, color_scheme=scheme) as visit:
        assert visit.page.locator("main > section").count() == 10
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        paint = visit.page.evaluate("performance.getEntriesByName('first-contentful-paint').length")
        assert (paint, visit.complaints) == (1, [])
        assert [url for url in visit.requests if not url.endswith("/favicon.ico")] == [address]
        dark = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (dark == "rgb(255, 255, 255)") == (scheme == "light")


def test_figures_have_names_and_descriptions(window, address):
    with Visit(window, address) as visit:
        images = visit.page.get_by_role("img")
        assert images.count() == 7
        for number in range(images.count()):
            names = images.nth(number).get_attribute("aria-labelledby").split()
            assert all(len(visit.page.locator(f"#{name}").text_content()) > 3 for name in names)
            box = images.nth(number).bounding_box()
            assert box["width"] > 300
            assert box["height"] > 60


def test_everything_can_be_reached_by_the_keyboard(window, address):
    with Visit(window, address) as visit:
        page = visit.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "result"
        page.locator("summary").first.focus()
        page.keyboard.press("Enter")
        assert page.locator("details[open]").count() == 1


def test_hostile_names_stay_text(window, hostile, tmp_path):
    write_report({str(hostile): hostile}, tmp_path / "report.html")
    with served(tmp_path) as root, Visit(window, f"{root}/report.html") as visit:
        assert visit.page.locator("script").count() == 1
        assert "<script>alert('x')</script>" in visit.page.locator("h1").text_content()
        assert visit.page.locator("main > section").count() == 10
        assert visit.complaints == []


def test_what_the_policy_forbids_does_not_run(window, report, tmp_path):
    """Were a name ever not escaped, it still could not run or fetch anything."""
    attack = "<script>document.title='taken'</script><img src='http://127.0.0.1:9/x' onerror='alert(1)'>"
    (tmp_path / "report.html").write_text(report.read_text().replace("<main>", f"<main>{attack}"))
    with served(tmp_path) as root, Visit(window, f"{root}/report.html") as visit:
        assert visit.page.title() == "G2L: kitchen split 1"
        assert len(visit.complaints) >= 2
        assert all("Content Security Policy" in complaint for complaint in visit.complaints)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real `mlflow server` on a database of its own; yields its address."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = f"sqlite:///{folder / 'mlflow.db'}"
    command = ["-m", "mlflow", "server", "--port", str(port), "--backend-store-uri", store]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
    log = (folder / "log").open("wb")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    process = subprocess.Popen(
        [sys.executable, *command], cwd=folder, stdout=log, stderr=log, env=kept, start_new_session=True
    )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)
        log.close()


def _wait(address: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(480):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"mlflow server does not answer: {log.read_text()}")


def test_it_opens_in_the_artifact_viewer_of_mlflow(window, server, report):
    client = load_mlflow().MlflowClient(tracking_uri=server)
    run = client.create_run(client.create_experiment("g2l"))
    client.log_artifact(run.info.run_id, str(report))
    page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/report.html"
    with Visit(window, f"{server}/{page}") as visit:
        visit.page.wait_for_selector("iframe", timeout=60_000)
        frame = visit.page.frame_locator("iframe")
        frame.locator("main > section").last.wait_for(timeout=60_000)
        assert frame.locator("main > section").count() == 10
        assert frame.locator(".lead").first.text_content().startswith("The local structure is shipped")
        frame.get_by_role("link", name="The structure").click()
        assert frame.locator("#structure").evaluate("part => part === document.activeElement")
        ours = [text for text in visit.complaints if "blob:" in text or "Content Security" in text]
        assert ours == []
