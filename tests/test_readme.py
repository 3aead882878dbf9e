"""What the documents tell people to type is what the command line and the MLproject take."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from cli.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "data" / "README.md"]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
G2L = typer.main.get_command(app)
ENTRY_POINTS = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[str]:
    return [match[2] for match in BLOCK.finditer(text)]


def commands(text: str) -> list[str]:
    """Return the shell commands of a code block, one by one."""
    lines = text.replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [part.removeprefix(".venv/bin/") for part in parts]


def typed(program: str) -> list:
    """Return the command lines in code blocks that start with `program`."""
    return [
        pytest.param(line, id=f"{path.relative_to(ROOT)}: {line}")
        for path in DOCUMENTS
        for block in blocks(path.read_text(encoding="utf-8"))
        for line in commands(block)
        if line.startswith(f"{program} ")
    ]


def mentioned(pattern: str) -> list:
    """Return the code within sentences that matches `pattern` at its start."""
    return [
        pytest.param(code, id=f"{path.relative_to(ROOT)}: {code}")
        for path in DOCUMENTS
        for code in re.findall(r"`([^`\n]+)`", BLOCK.sub("", path.read_text(encoding="utf-8")))
        if re.match(pattern, code)
    ]


def resolve(words: list[str]):
    """Return the command that the first words name, and the words that are left."""
    command = G2L
    while hasattr(command, "commands"):
        if not words or words[0].startswith("-"):
            return command, words
        assert words[0] in command.commands, f"no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def options(command) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def all_options(command=G2L) -> set[str]:
    below = getattr(command, "commands", {}).values()
    return options(command) | {"--help"} | {option for one in below for option in all_options(one)}


def synopsis(line: str) -> str:
    """Return a synopsis as a command: what is optional is given, of alternatives the first."""
    return re.sub(r"\|[\w|]+", "", re.sub(r"[\[\]]", "", line))


@pytest.mark.parametrize("line", typed("g2l"))
def test_commands_parse(line):
    command, words = resolve(shlex.split(synopsis(line), comments=True)[1:])
    assert words or not [parameter for parameter in command.params if parameter.required]
    command.make_context(command.name, words)


@pytest.mark.parametrize("code", mentioned(r"g2l( |$)"))
def test_commands_in_sentences_exist(code):
    command, words = resolve(shlex.split(synopsis(code))[1:])
    assert {word for word in words if word.startswith("--")} <= options(command) | {"--help"}


@pytest.mark.parametrize("code", mentioned(r"--\w"))
def test_options_in_sentences_exist(code):
    assert code.split()[0] in all_options()


@pytest.mark.parametrize("line", typed("mlflow run"))
def test_mlflow_runs_fit_the_project(line):
    words = shlex.split(line, comments=True)[2:]
    assert words[:3] == [".", "--env-manager", "local"]
    pairs = list(zip(words[3::2], words[4::2], strict=True))
    entry = dict(pairs).get("-e", "main")
    given = {value.partition("=")[0] for option, value in pairs if option == "-P"}
    parameters = ENTRY_POINTS[entry]["parameters"]
    required = {name for name, parameter in parameters.items() if "default" not in parameter}
    assert required <= given <= set(parameters)
    assert {option for option, _ in pairs} <= {"-e", "-P"}


def test_every_command_and_entry_point_is_in_the_readme():
    for name in G2L.commands:
        assert f"`g2l {name}" in README
    assert {name for name in ENTRY_POINTS if f"`{name}`" not in README} <= {"demo"}


def test_two_blocks_set_everything_up():
    setup = [block for block in blocks(README) if "python3 -m venv" in block]
    first, second = (commands(block) for block in setup)
    assert first[:-1] == ["python3 -m venv .venv", "pip install -c constraints.txt -e ."]
    assert first[-1] == "g2l demo"
    assert second[:-1] == ["python3 -m venv .venv", "pip install -c constraints.txt -e '.[test]'"]
    assert second[-1].startswith("pytest")
    below = README.split("\n## Run the tests\n")[1]
    assert BLOCK.search(below)[0] == f"```bash\n{setup[1]}```"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []
