"""`g2l data convert`."""

from __future__ import annotations

from g2l.errors import InputError

from . import console, data_report
from .data_report import next_command
from .settings import ConvertConfig


def convert(config: ConvertConfig) -> None:
    """Make a data set of your own features and labels.

    Example: g2l data convert --features i3d --segments segments.csv --dataset mine
    """
    from g2l.datasets.convert.plan import plan_conversion, write_conversion

    plan = plan_conversion(config)
    data_report.print_issues(plan.issues)
    if plan.errors:
        raise InputError(f"{plan.path}: not made; {data_report.count(plan.issues)}.")
    data_report.print_facts(plan.path, plan.facts)
    console.say(f"frames that no segment covers, taken as {config.background!r}: {plan.filled:,}.")
    if config.dry_run:
        console.say(f"{plan.path}: would be made as above; nothing was written.")
        return
    write_conversion(plan, console.ConsoleProgress())
    console.say(f"{plan.path}: made.")
    console.say(f"try: {next_command('data validate', config.data_root, config.dataset)}")
