"""What `g2l predict` writes beside labels and segments, and how labels are smoothed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from g2l.errors import InputError

from .choices import choice

if TYPE_CHECKING:
    from g2l.inference.smoothing import Smoothing
    from g2l.inference.writers import Outputs

OUTPUT, SMOOTHING = "Output", "Smoothing"


@dataclass(frozen=True)
class OutputOptions:
    """Files and smoothing."""

    format: Annotated[
        list[str] | None,
        typer.Option(
            help="Also segments as json, mstcn (official recognition files), eaf (ELAN) or srt (subtitles); "
            "repeatable, or with commas. (always: csv)",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also <video>.probabilities.npy.", rich_help_panel=OUTPUT)
    ] = False
    plots: Annotated[
        bool,
        typer.Option("--plots", help="Also <video>.png: prediction over truth.", rich_help_panel=OUTPUT),
    ] = False
    mstcn: Annotated[
        bool, typer.Option("--mstcn", help="The same as --format mstcn.", rich_help_panel=OUTPUT)
    ] = False
    smooth: Annotated[
        str, typer.Option(help="none, min-duration, median or viterbi.", rich_help_panel=SMOOTHING)
    ] = "none"
    min_duration: Annotated[
        str | None,
        typer.Option(help="Shortest segment that stays: 0.5s, or 15 (frames).", rich_help_panel=SMOOTHING),
    ] = None
    median_window: Annotated[
        str | None,
        typer.Option(
            help="Window whose most frequent label counts: 1s, or 31 (frames).", rich_help_panel=SMOOTHING
        ),
    ] = None
    transition_weight: Annotated[
        float | None,
        typer.Option(
            help="How much viterbi trusts the transitions learnt from train. (1)", rich_help_panel=SMOOTHING
        ),
    ] = None

    def config(self, fps: float | None) -> Outputs:
        """Return the validated configuration.

        Args:
            fps: Frames per second that were given, or None for what the model says.

        Raises:
            InputError: A format or a kind of smoothing is unknown, or a parameter is missing, out of range,
                or of another kind.
        """
        from g2l.inference.formats import Format
        from g2l.inference.writers import Outputs

        names = [name.strip() for value in self.format or [] for name in value.split(",")]
        formats = [choice(Format, name, "format") for name in names if name]
        return Outputs(
            formats=tuple(dict.fromkeys([*formats, *([Format.MSTCN] if self.mstcn else [])])),
            probabilities=self.probabilities,
            plots=self.plots,
            smoothing=self._smoothing(),
            fps=fps,
        )

    def _smoothing(self) -> Smoothing:
        from g2l.inference.smoothing import Duration, Smoothing, SmoothingKind

        kind = choice(SmoothingKind, self.smooth, "smooth")
        parameters = {
            "min_duration": SmoothingKind.MIN_DURATION,
            "median_window": SmoothingKind.MEDIAN,
            "transition_weight": SmoothingKind.VITERBI,
        }
        own = next((name for name, owner in parameters.items() if owner is kind), None)
        for name, owner in parameters.items():
            if name != own and getattr(self, name) is not None:
                raise InputError(f"`{name}` belongs to --smooth {owner}, but smoothing is {kind} instead.")
        if kind is SmoothingKind.VITERBI:
            weight = 1.0 if self.transition_weight is None else self.transition_weight
            return Smoothing(kind=kind, weight=weight).validate()
        if own is None:
            return Smoothing()
        text = getattr(self, own)
        if text is None:
            raise InputError(f"--smooth {kind} needs `{own}`.", hint=f"give --{own.replace('_', '-')} 0.5s.")
        return Smoothing(kind=kind, duration=Duration.parse(text, own)).validate()
