"""Pages of the documentation site that lie beside `docs/`.

MkDocs calls `on_files` and `on_page_markdown` when it builds the site.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
RESULTS = "benchmarks/search_efficiency/results"
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "data/README.md": "data-layout.md",
    "benchmarks/STUDY.md": "benchmarks/study.md",
    "benchmarks/GROWTH.md": "benchmarks/growth.md",
    "benchmarks/RESULTS.md": "benchmarks/results.md",
    "benchmarks/BACKBONES.md": "benchmarks/backbones.md",
    "benchmarks/COMPARISON.md": "benchmarks/comparison.md",
    "benchmarks/REFIT.md": "benchmarks/refit.md",
    "benchmarks/NULL_SEARCH.md": "benchmarks/null-search.md",
    "benchmarks/CONTEXT.md": "benchmarks/context.md",
    f"{RESULTS}/CORRELATION.md": "benchmarks/correlation.md",
    f"{RESULTS}/EFFICIENCY.md": "benchmarks/efficiency.md",
}
"""Path in the repository of each page that lies beside `docs/`, and its path on the site."""

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and pictures that lie elsewhere."""
    from mkdocs.structure.files import File

    pictures = {
        path.relative_to(ROOT).as_posix(): f"benchmarks/{path.name}"
        for path in (ROOT / RESULTS).glob("*.png")
    }
    for source, target in (PAGES | pictures).items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    config["sources"] = {target: source for source, target in (PAGES | pictures).items()}
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Let links between files of the repository lead from page to page."""
    here = page.file.src_uri
    return relink(markdown, here, config["sources"], known={file.src_uri for file in files})


def relink(markdown: str, page: str, sources: dict[str, str], *, known: set[str]) -> str:
    """Return a page whose relative links are those of the site.

    Args:
        markdown: The page; its links are relative to where it lies in the repository.
        page: Its path on the site.
        sources: Path in the repository of every page or picture that does not lie in `docs/`.
        known: All paths on the site. A link to a file that is on none keeps its text only.
    """
    targets = {source: target for target, source in sources.items()}
    folder = PurePosixPath(sources.get(page, f"docs/{page}")).parent

    def replace(match: re.Match[str]) -> str:
        mark, text, link, anchor = match.groups()
        source = os.path.normpath(folder / link)
        target = targets.get(source, source.removeprefix("docs/"))
        if target not in known:
            # What is in the repository is not wrong, only not on the site; all else MkDocs complains about.
            return text if (ROOT / source).exists() else match[0]
        return f"{mark}[{text}]({os.path.relpath(target, PurePosixPath(page).parent)}{anchor or ''})"

    return LINK.sub(replace, markdown)
