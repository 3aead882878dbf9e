"""What may import what, what is declared, and what must not be there: read from the files themselves."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
MAX_LINES = 500

STAGES = {"datasets", "metrics", "models", "receptive_field", "search", "training", "export", "inference"}
BASE = {
    "errors",
    "files",
    "machine",
    "figures",
    "progress",
    "records",
    "structure",
    "evaluation",
    "config",
    "seeds",
}
ALLOWED = {
    "__init__": set(),
    "errors": set(),
    # Of metrics it takes segments and the best length of a curve.
    "figures": {"errors", "files", "metrics", "records", "structure"},
    "progress": set(),
    "files": {"errors"},
    "machine": set(),
    "records": {"errors", "files", "typed_json"},
    "typed_json": {"errors", "files"},
    "structure": {"errors"},
    "evaluation": {"errors", "structure", "config"},
    "settings": {"errors"},
    "seeds": set(),
    "shipping": {"settings"},
    "config": {"errors", "structure", "settings"},
    "structure_files": {"errors", "files", "structure", "config"},
    "metrics": {"errors"},
    "datasets": {"errors", "files", "machine", "progress", "config", "settings"},
    "kernels": set(),
    "receptive_field": {"errors", "structure", "kernels"},
    "models": {"errors", "files", "typed_json", "structure", "config"}
    | {"structure_files", "kernels", "receptive_field"},
    "tracking": {"errors", "files", "records", "structure", "config", "metrics"},
    # Search knows no training and training no search; what both need of metrics is the name of a fitness.
    "search": BASE | {"metrics", "receptive_field"},
    "training": BASE | {"metrics", "datasets", "models"},
    # Of metrics it takes F1, by which a model in fp16 or int8 is compared with fp32.
    "export": {"errors", "files", "structure", "config", "metrics", "datasets", "models"},
    # Of training it takes the choice of a device only, for models that run in torch.
    "inference": BASE | {"settings", "metrics", "datasets", "models", "training"},
    # Of search it takes the journal, of models the size of a network; it trains nothing.
    "report": BASE | {"metrics", "search", "settings", "models", "typed_json"},
    "pipeline": BASE | STAGES | {"settings", "shipping", "structure_files", "tracking", "report"},
    "cli": BASE | STAGES | {"shipping", "report", "settings", "structure_files", "tracking", "pipeline"},
}
"""What each package or top-level module may import of g2l; imports for types only count too."""

ONLY_IN = {
    "mlflow": {"tracking"},
    "onnx": {"export", "tracking", "inference/devices.py", "inference/sessions.py"},
    "onnx_ir": {"export"},
    "onnxruntime": {"export", "inference", "tracking"},
    "typer": {"cli"},
    "rich": {"cli"},
    "safetensors": {"models"},
    "sklearn": {"datasets"},
    "scipy": {"metrics", "search", "datasets/arrays.py", "pipeline/context_curve.py"},
    "jinja2": {"report"},
    "matplotlib": {"figures", "pipeline/context.py", "pipeline/context_curve.py", "report/blocks.py"},
    "torch": {
        "kernels", "models", "receptive_field", "training", "export", "inference", "pipeline", "cli",
        "datasets/batching.py", "datasets/arrays.py", "search/local_search.py",
    },
    "av": {"inference"},
    "h5py": {"datasets/arrays.py"},
    "ray": {"search/executors/ray.py"},
    "numpy": set(ALLOWED) - BASE | {"figures"},
}  # fmt: skip
"""Where other people's packages may be imported: package of ours, or single file."""

IMPORT_NAMES = {"onnxruntime-gpu": "onnxruntime", "scikit-learn": "sklearn", "onnx-ir": "onnx_ir"}
CARD = {"torch", "mlflow", "typer", "rich", "onnx", "onnxruntime-gpu", "scikit-learn"}
NOT_IMPORTED = {"onnxscript"}  # torch's ONNX exporter imports it
OPTIONAL = {"ray": "ray", "h5py": "hdf5", "av": "video"}
"""Packages that are not needed for most of what g2l does, and the extra that installs each."""

SOURCES = [path for folder in ("g2l", "cli") for path in sorted((ROOT / folder).rglob("*.py"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def unit(path: Path) -> str:
    """Return the package or top-level module of g2l that a file belongs to, or `cli`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "cli" if parts[0] == "cli" else parts[1]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield level and dotted name of every import of a file, those inside functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module] if node.module != "g2l" else [f"g2l.{alias.name}" for alias in node.names]
            yield from ((node.level, module or "") for module in modules)


def other_packages(path: Path) -> set[str]:
    first = {module.partition(".")[0] for level, module in imports(path) if level == 0}
    return first - {"g2l", "cli"} - sys.stdlib_module_names


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_imports_point_in_one_direction(path):
    ours = unit(path)
    modules = {module.split(".")[1] for level, module in imports(path) if module.startswith("g2l.")}
    assert modules - {ours, "__version__"} <= ALLOWED[ours]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_other_packages_are_imported_where_they_belong(path):
    places = {unit(path), path.relative_to(ROOT / path.relative_to(ROOT).parts[0]).as_posix()}
    strangers = {package for package in other_packages(path) if not places & ONLY_IN.get(package, set())}
    assert not strangers


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_relative_imports_are_those_of_the_command_line(path):
    levels = {level for level, _ in imports(path)}
    assert levels <= ({0, 1} if unit(path) == "cli" else {0})
    assert not [module for _, module in imports(path) if module.partition(".")[0] in ("cli", "g2l_cli")]


def test_the_table_names_what_there_is():
    units = {unit(path) for path in SOURCES}
    assert units == set(ALLOWED)


def test_help_imports_nothing_heavy():
    script = "import sys, cli.main; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {
        "torch",
        "mlflow",
        "onnx",
        "onnxruntime",
        "sklearn",
        "scipy",
        "matplotlib",
        "numpy",
        "pandas",
        "ray",
        "h5py",
        "av",
        "pooch",
    }
    assert heavy & set(done.stdout.split()) == set()


def test_all_packages_are_installed():
    folders = {path.parent for path in SOURCES}
    assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()
    dotted = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    packaged = PROJECT["tool"]["setuptools"]["packages"]
    assert packaged == sorted((dotted - {"cli"}) | {"g2l_cli"})


def dependencies() -> dict[str, Requirement]:
    found = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
    return {requirement.name: requirement for requirement in found}


def test_dependencies_are_used_and_what_is_used_is_a_dependency():
    declared = {IMPORT_NAMES.get(name, name) for name in dependencies().keys() - NOT_IMPORTED}
    assert declared | set(OPTIONAL) == set().union(*map(other_packages, SOURCES))
    assert {name: [Requirement(line).name for line in EXTRAS[name]] for name in OPTIONAL.values()} == {
        extra: [name] for name, extra in OPTIONAL.items()
    }
    assert dependencies().keys() >= CARD


def test_every_dependency_has_a_tested_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    versions = dict(line.split("==") for line in lines)
    tested = {canonicalize_name(name): version for name, version in versions.items()}
    extras = [line for group in EXTRAS.values() for line in group]
    wanted = [*dependencies().values(), *(Requirement(line) for line in extras if not line.startswith("g2l"))]
    for requirement in wanted:
        assert requirement.specifier.contains(tested[canonicalize_name(requirement.name)]), requirement
    assert tested["torch"] == "2.13.0"


def test_conda_installs_the_package_with_the_tested_versions():
    python, pip, packages = yaml.safe_load((ROOT / "conda.yaml").read_text())["dependencies"]
    assert (python, pip) == (f"python={PROJECT['project']['requires-python'].removeprefix('>=')}", "pip")
    assert packages == {"pip": ["-c constraints.txt", "."]}


def texts() -> list[Path]:
    """Return the files that belong to the project; what git ignores and caches are not among them."""
    folders = [ROOT / folder for folder in ("g2l", "cli", "tests", "benchmarks", "docs", ".ci")]
    inside = [path for folder in folders for path in folder.rglob("*")]
    outside = [path for pattern in ("*.md", "*.toml", "*.yaml", "*.txt") for path in ROOT.glob(pattern)]
    others = [ROOT / "MLproject", ROOT / "LICENSE", ROOT / ".gitignore", ROOT / "data" / "README.md"]
    binary = {".pyc", ".png"}
    found = [path for path in (*inside, *outside, *others) if path.is_file()]
    return [path for path in found if path.suffix not in binary]


def test_no_file_is_too_long():
    lengths = {name(path): len(path.read_text().splitlines()) for path in texts() if path.suffix == ".py"}
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_no_file_names_a_machine():
    place = re.compile(r"(?<![\w.])/(?:home|root|work|Users|mnt)/\w|[A-Z]:\\Users")
    assert [name(path) for path in texts() if place.search(path.read_text(encoding="utf-8"))] == []


UNSAFE_KEYWORDS = {("allow_pickle", True), ("weights_only", False), ("shell", True)}
UNSAFE_CALLS = {"eval", "exec", "compile", "os.system", "yaml.load", "pickle.load", "pickle.loads"}


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_file_can_run_code(path):
    unsafe = []
    for call in (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)):
        called = ast.unparse(call.func)
        keywords = {
            (word.arg, word.value.value) for word in call.keywords if isinstance(word.value, ast.Constant)
        }
        if called in UNSAFE_CALLS or keywords & UNSAFE_KEYWORDS:
            unsafe.append(ast.unparse(call))
        if called == "torch.load" and ("weights_only", True) not in keywords:
            unsafe.append(ast.unparse(call))
    assert unsafe == []
