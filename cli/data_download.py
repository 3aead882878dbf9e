"""`g2l data download`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from g2l.errors import InputError

from . import console
from .data_report import next_command
from .settings import DownloadConfig

if TYPE_CHECKING:
    from g2l.datasets.download import Archive, Source


def download(
    dataset: Annotated[str, typer.Argument(help="gtea, 50salads or breakfast.")],
    config: DownloadConfig,
) -> None:
    """Download a public data set, once its terms are accepted; continues an interrupted download.

    Example: g2l data download gtea
    """
    from g2l.datasets.download import archive_path, download_dataset, find_source, read_record
    from g2l.datasets.layout import new_path

    source = find_source(dataset)
    new_path(config.data_root, dataset)
    archive = read_record(source)
    _show(source, archive)
    if not (config.yes or _agreed()):
        raise InputError(
            "the terms were not accepted; nothing was downloaded.",
            hint="--yes accepts them without a question.",
        )
    path = download_dataset(source, archive, config.data_root, console.ConsoleProgress())
    console.say(f"{path}: made. The archive with the other data sets is kept:")
    console.say(f"{archive_path(source, archive, config.data_root)}")
    console.say(f"try: {next_command('data validate', config.data_root, dataset)}")


def _show(source: Source, archive: Archive) -> None:
    console.say(f"{source.dataset}: features and labels as published with MS-TCN, {source.page}")
    console.say(f"terms of the data set: {source.terms}")
    console.say(f"terms of the archive: {archive.licence or 'the record names no licence.'}")
    console.say(f"cite: {source.cite}; features: Abu Farha and Gall, CVPR 2019")
    console.say(
        f"one archive holds gtea, 50salads and breakfast: {archive.size / 1e9:.2f} GB to download, checked "
        f"against md5:{archive.md5} as the record gives it."
    )


def _agreed() -> bool:
    try:
        return typer.confirm("Download under these terms?", err=True)
    except typer.Abort:  # stdin is not a terminal
        return False
