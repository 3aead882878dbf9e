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
    from g2l.datasets.convert.request import ConversionRequest
    from g2l.datasets.convert.sources import Layout

    plan = plan_conversion(
        ConversionRequest(
            features=config.features,
            segments=config.segments,
            data_root=config.data_root,
            dataset=config.dataset,
            layout=None if config.layout is None else Layout(config.layout),
            feature_dim=config.feature_dim,
            variable=config.variable,
            tier=config.tier,
            fps=config.fps,
            label_fps=config.label_fps,
            offset=config.offset,
            length_tolerance=config.length_tolerance,
            mapping=config.mapping,
            background=config.background,
            bundles=config.bundles,
            test_fraction=config.test_fraction,
            group_pattern=config.group_pattern,
            seed=config.seed,
        )
    )
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
