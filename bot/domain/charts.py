"""What a report's picture shows, in words and numbers that are ready to be drawn, and the contract of who draws it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Tone(StrEnum):
    """What a bar stands for; the picture gives each its colour."""

    PLAIN = "plain"
    REST = "rest"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Tile:
    """One total of the headline."""

    caption: str
    value: str


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of the stacked bars: a value for each bin."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar with its name, drawn to `value` and said as `shown`; `names` are tried in turn until one can be drawn.

    `marked` is a second, larger value: where the thin part of the bar ends.
    """

    names: tuple[str, ...]
    value: float
    shown: str
    tone: Tone = Tone.PLAIN
    marked: float | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One list of bars under its heading, or the words that stand there without any."""

    heading: str
    bars: tuple[Bar, ...]
    empty: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A whole picture. `bins` are the names of the stacked bars from the earliest on; `series` are in dollars.

    `columns` stand side by side below, each a few panels one below the other. `notes` stand at the foot. The first of
    `titles` that can be drawn stands at the head.
    """

    titles: tuple[str, ...]
    subtitle: str
    tiles: tuple[Tile, ...]
    heading: str
    bins: tuple[str, ...]
    series: tuple[Series, ...]
    empty: str
    columns: tuple[tuple[Panel, ...], ...]
    notes: tuple[str, ...] = ()


def chart_from(fields: Mapping[str, Any]) -> Chart:
    """Return the chart again of which `dataclasses.asdict` made these fields, also after a way through JSON."""
    columns = (
        tuple(
            Panel(
                panel["heading"],
                tuple(Bar(**{**bar, "names": tuple(bar["names"]), "tone": Tone(bar["tone"])}) for bar in panel["bars"]),
                panel["empty"],
            )
            for panel in column
        )
        for column in fields["columns"]
    )
    return Chart(
        titles=tuple(fields["titles"]),
        subtitle=fields["subtitle"],
        tiles=tuple(Tile(**tile) for tile in fields["tiles"]),
        heading=fields["heading"],
        bins=tuple(fields["bins"]),
        series=tuple(Series(each["name"], tuple(each["values"])) for each in fields["series"]),
        empty=fields["empty"],
        columns=tuple(columns),
        notes=tuple(fields["notes"]),
    )


class NoPicture(StrEnum):
    """Why there is no picture."""

    NOT_INSTALLED = "not_installed"
    FAILED = "failed"


class Plotter(Protocol):
    """Draws charts."""

    async def prepare(self) -> None:
        """Begin to get ready, so that a drawing that is asked for soon comes sooner. Never fails."""

    async def draw(self, chart: Chart) -> bytes | NoPicture:
        """Return the chart as a PNG."""
