"""The report as people see it: in Chromium, by itself and in the artifact viewer of a real MLflow server."""

from __future__ import annotations

import pytest

from g2l.report.render import write_report
from g2l.tracking.environment import load_mlflow
from tests.report.browser import browser, chromium, served
from tests.tracking.mlflow_server import Server

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (g2l[test])")
pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="there is no chromium (apt install chromium)"),
    pytest.mark.timeout(300),
]


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


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_opens_without_a_complaint(window, address, width, scheme):
    with Visit(window, address, width, color_scheme=scheme) as visit:
        assert visit.page.locator("main > section").count() == 10
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        paint = visit.page.evaluate("performance.getEntriesByName('first-contentful-paint').length")
        assert (paint, visit.complaints) == (1, [])
        assert [url for url in visit.requests if not url.endswith("/favicon.ico")] == [address]
        dark = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (dark == "rgb(255, 255, 255)") == (scheme == "light")


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
    server = Server(tmp_path_factory.mktemp("mlflow"))
    yield server.uri
    server.kill()


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
