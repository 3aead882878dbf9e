"""Files that are made from the settings: `MLproject` and `docs/options.md`.

    python -m cli.generated

writes both. A test fails while they differ from the settings.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from g2l.config import FAST
from g2l.settings import Rank, SettingField, Settings, setting_fields

from .main import COMMANDS
from .options import Uses, default_text, metavar, option_names, uses_of

ROOT = Path(__file__).parents[1]
ENTRY_POINTS = (
    *("pipeline", "context", "search-global", "search-local", "train", "predict", "export", "evaluate"),
    "demo",
)
LEFT_OUT = ("quiet", "debug", "json", "dry_run")
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
    parameters, parts = [], [f"python -m cli {command}"]
    for one in _project_settings(command):
        for option in option_names(one):
            name = option.replace("-", "_")
            default = "" if one.setting.required else f', default: "{_project_default(one)}"'
            parameters.append(f"      {name}: {{type: string{default}}}")
            parts.append(f"--{option} {{{name}}}")
    lines = _filled(parts, width=100)
    text = "\n".join([f"  {entry}:", "    parameters:", *parameters, "    command: >-", *lines])
    return f"{text}\n"


def _project_settings(command: str) -> Iterator[SettingField]:
    """Yield the settings of an entry point, each once: those that `--help` shows."""
    seen = set()
    for uses in uses_of(COMMANDS[command]).values():
        for one in uses.fields():
            if one.option in seen or one.name in LEFT_OUT or uses.rank(one) is Rank.RARE:
                continue
            if one.setting.keeps_empty and one.default is None:  # MLflow cannot say "not given" for it
                continue
            seen.add(one.option)
            yield one


def _project_default(one: SettingField) -> str:
    """Return the default in `MLproject`: empty where the preset decides, or there is none."""
    value = one.preset_value(FAST)
    if isinstance(value, bool):
        return str(value).lower()
    if one.setting.presets or one.setting.default_text or value is None or value == ():
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _filled(parts: list[str], width: int) -> list[str]:
    """Return parts joined to lines; none is broken between an option and its value."""
    text = " ".join(part.replace(" ", "\0") for part in parts)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [f"      {line}".replace("\0", " ") for line in lines]


def _title(config: type[Settings]) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", config.__name__.removesuffix("Config")).capitalize()


def _link(uses: Uses) -> str:
    title = _title(uses.config)
    link = f"[{title}](#{title.lower().replace(' ', '-')})"
    fields = setting_fields(uses.config)
    names = [f"`--{fields[name].option}`" for name in uses.only]
    without = [f"`--{fields[name].option}`" for name in uses.without]
    text = f"{', '.join(names)} of {link}" if names else link
    text += f" without {', '.join(without)}" if without else ""
    others = [f"`--{fields[name].option} {value}`" for name, value in uses.defaults.items()]
    return text + (f" (by default {', '.join(others)})" if others else "")


def _section(title: str, config: type[Settings]) -> str:
    rows = []
    for one in setting_fields(config).values():
        mark = "" if one.setting.changes_result else " ◦"
        for option in option_names(one):
            value = "" if one.type is bool else metavar(one)
            default = "required" if one.setting.required else default_text(one).replace("<", "&lt;")
            meaning = one.setting.help.replace("<", "&lt;")
            cells = (f"`--{option}`{mark}", f"`{value}`" if value else "", default, meaning)
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    text = (config.__doc__ or "").split("\n")[0]
    return f"\n## {title}\n\n{text}\n\n{HEADER}{''.join(rows)}"


def main() -> None:
    """Write the files."""
    from g2l.files import write_text

    write_text(ROOT / "MLproject", mlproject())
    write_text(ROOT / "docs" / "options.md", options_page())


if __name__ == "__main__":
    main()
