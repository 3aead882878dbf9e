"""The settings of the contest in a pipeline: which structure is exported."""

from __future__ import annotations

from enum import StrEnum

from g2l.settings import Rank, Settings, setting


class Ship(StrEnum):
    """Which structure a pipeline exports: the one that the hold-outs show to be best, or a given one."""

    BEST = "best"
    SEARCHED = "searched"
    HAND_DESIGNED = "hand-designed"


class ContestConfig(Settings):
    """Choice between the hand-designed structure and those that were found."""

    ship: Ship = setting(Ship.BEST, "Structure to export; best: the one that hold-outs choose.")
    until_decided: bool = setting(False, "Add trainings on hold-outs until the comparison is decided.")
    most_trainings: int = setting(
        12, "Maximum number of hold-out trainings with --until-decided.", at_least=1, rank=Rank.RARE
    )
