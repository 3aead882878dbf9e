"""`g2l structure show` and `g2l structure convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import console
from .options import Debug, Json


def show(
    file: Annotated[
        str, typer.Argument(help="Structure file (g2l, official or mmcv), runs:/… or models:/….")
    ],
    fps: Annotated[
        float | None, typer.Option(min=0.001, help="Give receptive fields in seconds too.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the rates and the receptive fields of a structure.

    Example: g2l structure show runs/…/structure.json --fps 15
    """
    from g2l.structure_files import read_structure
    from g2l.tracking.resolve import resolve_artifact

    structure = read_structure(resolve_artifact(file)).structure
    fields = structure.receptive_fields()
    whole = structure.receptive_field()
    if json:
        value = {"stages": structure.as_lists(), "receptive_field": whole, "receptive_fields": list(fields)}
        if fps is not None:
            value |= {"receptive_field_s": whole / fps, "receptive_fields_s": [f / fps for f in fields]}
        console.data_json(value)
        return
    rows = [
        (f"stage {number}", " ".join(map(str, rates)), _field(field, fps))
        for number, (rates, field) in enumerate(zip(structure.stages, fields, strict=True), start=1)
    ]
    rows.append(("network", "", _field(whole, fps)))
    console.table(file, ("", "dilation rates", "receptive field"), rows)


def convert(
    source: Annotated[Path, typer.Argument(help="Structure file in any dialect.")],
    target: Annotated[Path, typer.Argument(dir_okay=False, help="File to write.")],
    to: Annotated[str, typer.Option(help="Dialect to write: g2l, official or mmcv.")] = "g2l",
    debug: Debug = False,
) -> None:
    """Convert a structure file between the dialects of g2l, the official code and mmcv.

    Example: g2l structure convert structure.json official.json --to official
    """
    from g2l.structure_files import Dialect, read_structure, write_structure

    from .choices import choice

    dialect = choice(Dialect, to, "to")
    found = read_structure(source)
    write_structure(target, found.structure, dialect, backbone=found.backbone, provenance=found.provenance)


def _field(frames: int, fps: float | None) -> str:
    return f"{frames} frames" + ("" if fps is None else f" = {frames / fps:.1f} s")
