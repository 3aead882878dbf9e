"""Files that are made from the settings: `MLproject` and `docs/options.md`.

    python -m cli.generated

writes both. A test fails while they differ from the settings.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from g2l.config import FAST
from g2l.settings import Rank, Setting, Settings, setting_fields

from .boundary import KEEPS_EMPTY
from .main import COMMANDS
from .options import Uses, by_option, default_text, metavar, uses_of

ROOT = Path(__file__).parents[1]
ENTRY_POINTS = (
    *("pipeline", "context", "search-global", "search-local", "train", "predict", "export", "evaluate"),
    "demo",
)
LEFT_OUT = ("quiet", "debug", "json", "dry-run")
"""Settings of a person at a terminal, which `mlflow run` has no use for."""

PROJECT = """\
# Made by `python -m cli.generated`; do not edit.
#
# mlflow run . --env-manager local -e train -P dataset=gtea -P hand_designed=true
#
# An empty default means "not given": the preset's value, or a folder below runs/. Every other option of
# a command can be given, too: -P decay_epoch=40. Paths are strings, since MLflow insists that parameters of
# type path exist; models and structures may also be runs:/… and models:/….
name: g2l

conda_env: conda.yaml

entry_points:
"""

PAGE = """\
# Options

<!-- Made by `python -m cli.generated`; do not edit. -->

Every option of every command. `g2l train --help` shows the most important ones, `--help-all` all of them.
A value after *paper:* is that of `--preset paper`. `none` unsets an optional number. An empty value means
"not given", except for `--background` and `--group-pattern`, where it means "none". Flags also accept `true`
and `false` as values. Options marked ◦ cannot change a result: a run can be resumed with other values.

| command | takes | does |
| --- | --- | --- |
"""


HEADER = "| option | value | default | meaning |\n| --- | --- | --- | --- |\n"


def mlproject() -> str:
    """Return the text of `MLproject`."""
    blocks = [_entry_point("main", "demo"), *(_entry_point(name, name) for name in ENTRY_POINTS)]
    return PROJECT + "\n".join(blocks)


def options_page() -> str:
    """Return the text of `docs/options.md`."""
    rows: list[str] = []
    sections: dict[str, str] = {}
    for name, function in COMMANDS.items():
        used = uses_of(function).values()
        for one in used:
            title = _title(one.config)
            sections.setdefault(title, _section(title, one.config))
        does = inspect.cleandoc(function.__doc__ or "").split("\n\n")[0].replace("\n", " ")
        rows.append(f"| `g2l {name}` | {', '.join(map(_link, used))} | {does} |\n")
    return PAGE + "".join(rows) + "".join(sections.values())


def _entry_point(entry: str, command: str) -> str:
    parameters, parts = [], [f"      python -m cli {command}"]
    for one in _project_settings(command):
        name = one.option.replace("-", "_")
        default = "" if one.required else f', default: "{_project_default(one)}"'
        parameters.append(f"      {name}: {{type: string{default}}}")
        parts.append(f"      --{one.option} {{{name}}}")
    return "\n".join([f"  {entry}:", "    parameters:", *parameters, "    command: >-", *parts, ""])


def _project_settings(command: str) -> Iterator[Setting]:
    """Yield the settings of an entry point, each once: those that `--help` shows."""
    seen = set(LEFT_OUT)
    for uses in uses_of(COMMANDS[command]).values():
        for one in uses.settings():
            ambiguous = f"--{one.option}" in KEEPS_EMPTY and one.default is None  # MLflow has no "not given"
            if one.option not in seen and one.rank is not Rank.RARE and not ambiguous:
                seen.add(one.option)
                yield one


def _project_default(one: Setting) -> str:
    """Return the default in `MLproject`: empty where the preset decides, or there is none."""
    value = one.preset_value(FAST)
    if isinstance(value, bool):
        return str(value).lower()
    if one.presets or one.default_text or value is None or value == ():
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _title(config: type[Settings]) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", config.__name__.removesuffix("Config")).capitalize()


def _link(uses: Uses) -> str:
    title = _title(uses.config)
    link = f"[{title}](#{title.lower().replace(' ', '-')})"
    fields = setting_fields(uses.config)
    text = f"{', '.join(f'`--{fields[name].option}`' for name in uses.only)} of {link}" if uses.only else link
    if uses.without:
        text += f" without {', '.join(f'`--{fields[name].option}`' for name in uses.without)}"
    if uses.defaults:
        others = (f"`--{fields[name].option} {value}`" for name, value in uses.defaults.items())
        text += f" (by default {', '.join(others)})"
    return text


def _section(title: str, config: type[Settings]) -> str:
    rows, bar = [], r"\|"
    for one in (option for field in setting_fields(config).values() for option in by_option(field)):
        mark = "" if one.changes_result else " ◦"
        value = f"`{metavar(one)}`" if metavar(one) else ""
        default = "required" if one.required else default_text(one).replace("<", "&lt;")
        cells = (f"`--{one.option}`{mark}", value, default, one.help.replace("<", "&lt;"))
        rows.append(f"| {' | '.join(cell.replace('|', bar) for cell in cells)} |\n")
    text = (config.__doc__ or "").split("\n")[0]
    return f"\n## {title}\n\n{text}\n\n{HEADER}{''.join(rows)}"


def main() -> None:
    """Write the files."""
    from g2l.files import write_text

    write_text(ROOT / "MLproject", mlproject())
    write_text(ROOT / "docs" / "options.md", options_page())


if __name__ == "__main__":
    main()
