"""Draws a report's chart with Matplotlib: one picture that is read on Discord's dark and light theme alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from bot.adapters.media.lettering import Lettering
from bot.domain.charts import Bar, Chart, Panel, Series, Tile, Tone

FAMILY = "DejaVu Sans"
# A ground of its own, since nobody knows the theme behind it. All words have a contrast of 4.5 or more on it.
GROUND, INK, FAINT, LINE = "#fbfbf9", "#1b1f24", "#55606b", "#dfe2e5"
# Told apart by people who see few colours, and in grey: each is lighter than the one before.
COLOURS = ("#10305c", "#b5421a", "#3e9bc7", "#f2c14e")
HATCHES = ("", "//", "..", "xx")
TONES = {Tone.PLAIN: "#2f6690", Tone.REST: "#7b858f", Tone.GOOD: "#2e7d5b", Tone.BAD: "#b5421a"}
# Whatever a name holds is drawn as it stands: "$" begins no formula.
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": FAMILY,
    "hatch.linewidth": 0.8,
    "hatch.color": GROUND,
    "axes.unicode_minus": False,
}

WIDTH = 1500
_DPI = 100
_EDGE, _GAP = 48, 56
_TITLE_Y, _TILES_Y, _SPEND_Y = 40, 134, 240
_PLOT_HEIGHT, _PLOT_FOOT, _EMPTY_HEIGHT = 290, 56, 16
_BAR_MAX, _BAR_SHARE = 96, 0.82
_ROW, _HEADING, _PANEL_GAP = 30, 44, 34
_TITLE, _HEAD, _WORD, _SMALL, _VALUE = 30.0, 20.0, 16.0, 15.0, 27.0
_NAME_SHARE = 0.4


def draw(chart: Chart, target: Path) -> None:
    """Write the chart as PNG to `target`."""
    with mpl.rc_context(_STYLE):
        figure(chart).savefig(target, format="png", dpi=_DPI, facecolor=GROUND)


def figure(chart: Chart) -> Figure:
    """Return the whole picture, not yet drawn."""
    with mpl.rc_context(_STYLE):
        return _Sheet(chart).figure


def height_of(chart: Chart) -> int:
    below = max((sum(_panel_height(panel) for panel in column) for column in chart.columns), default=0)
    notes = len(chart.notes) * 26
    return _panels_y(chart) + below + notes + _EDGE // 2


def _panels_y(chart: Chart) -> int:
    return _SPEND_Y + _HEADING + (_PLOT_HEIGHT if chart.series else _EMPTY_HEIGHT) + _PLOT_FOOT


def _panel_height(panel: Panel) -> int:
    return _HEADING + max(len(panel.bars), 1) * _ROW + _PANEL_GAP


@dataclass(frozen=True, slots=True)
class _Box:
    """A part of the sheet in pixels from its left and upper edge."""

    x: float
    y: float
    width: float
    height: float


class _Sheet:
    """The figure on its way, in pixels from the left and upper edge."""

    def __init__(self, chart: Chart) -> None:
        self._height = height_of(chart)
        self.figure = Figure(figsize=(WIDTH / _DPI, self._height / _DPI), dpi=_DPI, facecolor=GROUND)
        self._letters = Lettering(FigureCanvasAgg(self.figure).get_renderer(), FAMILY)  # type: ignore[no-untyped-call]
        self._head(chart)
        self._tiles(chart.tiles)
        self._spend(chart)
        y = self._columns(chart.columns, top=_panels_y(chart))
        for note in chart.notes:
            self._word(_EDGE, y, note, size=_SMALL, colour=FAINT, width_max=WIDTH - 2 * _EDGE)
            y += 26

    def _head(self, chart: Chart) -> None:
        width_max = WIDTH - 2 * _EDGE
        title = self._letters.best(chart.titles)
        self._word(_EDGE, _TITLE_Y, title, size=_TITLE, bold=True, width_max=width_max)
        self._word(_EDGE, _TITLE_Y + 44, chart.subtitle, size=_WORD, colour=FAINT, width_max=width_max)

    def _tiles(self, tiles: Sequence[Tile]) -> None:
        width = (WIDTH - 2 * _EDGE) / max(len(tiles), 1)
        for number, tile in enumerate(tiles):
            x = _EDGE + number * width
            self._word(x, _TILES_Y, tile.value, size=_VALUE, bold=True, width_max=width - 16)
            self._word(x, _TILES_Y + 40, tile.caption, size=_SMALL, colour=FAINT, width_max=width - 16)

    def _spend(self, chart: Chart) -> None:
        self._word(_EDGE, _SPEND_Y, chart.heading, size=_HEAD, bold=True, width_max=(WIDTH - 2 * _EDGE) / 2)
        y = _SPEND_Y + _HEADING
        if not chart.series:
            self._word(_EDGE, y, chart.empty, size=_WORD, colour=FAINT, width_max=WIDTH - 2 * _EDGE)
            return
        self._legend(chart.series)
        room = _Box(_EDGE, y, WIDTH - 2 * _EDGE, _PLOT_HEIGHT)
        self._stack(self._axes(room), chart, room)

    def _legend(self, series: Sequence[Series]) -> None:
        """Name the colours on the line of the heading, ending at the right edge."""
        font, room = self._letters.font(_WORD), (WIDTH / 2 - _EDGE) / len(series) - 44
        names = [self._letters.cut(self._letters.best([each.name]), font, room) for each in series]
        widths = [self._letters.width_px(name, font) + 44 for name in names]
        x = WIDTH - _EDGE - sum(widths) + 20
        for number, (name, width) in enumerate(zip(names, widths, strict=True)):
            colour, hatch = _look(number)
            self._patch(_Box(x, _SPEND_Y + 3, 16, 16), facecolor=colour, hatch=hatch, edgecolor=GROUND, linewidth=0)
            self._word(x + 22, _SPEND_Y + 2, name, size=_WORD)
            x += width

    def _stack(self, axes: Axes, chart: Chart, room: _Box) -> None:
        """Draw the bars; the scale stands left of them, as wide as its names are."""
        totals = [sum(values) for values in zip(*(series.values for series in chart.series), strict=True)]
        ticks = [tick for tick in MaxNLocator(nbins=5).tick_values(0, max(totals)) if tick <= max(totals)]
        small = self._letters.font(_SMALL)
        names = [_dollars(tick, ticks) for tick in ticks]
        scale = max(self._letters.width_px(name, small) for name in names) + 14
        axes.set_position(self._share(_Box(room.x + scale, room.y, room.width - scale, room.height)))
        bin_width = (room.width - scale) / (len(chart.bins) + 0.2)
        self._bars(axes, chart.series, min(_BAR_SHARE, _BAR_MAX / bin_width))
        axes.set_ylim(0, max(totals) * 1.04)
        axes.set_xlim(-0.6, len(chart.bins) - 0.4)
        axes.set_yticks(ticks, names, fontproperties=small, color=FAINT)
        step = math.ceil(max(self._letters.width_px(name, small) + 14 for name in chart.bins) / bin_width)
        shown = range(0, len(chart.bins), step)
        axes.set_xticks(shown, [chart.bins[number] for number in shown], fontproperties=small, color=FAINT)
        axes.tick_params(length=0, pad=6)
        # Below the scale's zero: the first bin may be narrower than its name.
        axes.tick_params(axis="x", pad=10)
        axes.grid(axis="y", color=LINE, linewidth=1)
        axes.set_axisbelow(True)
        axes.spines["bottom"].set(visible=True, color=FAINT)

    def _bars(self, axes: Axes, stacked: Sequence[Series], width: float) -> None:
        below = [0.0] * len(stacked[0].values)
        for number, series in enumerate(stacked):
            colour, hatch = _look(number)
            look: dict[str, Any] = {"color": colour, "hatch": hatch, "edgecolor": GROUND, "linewidth": 0.6}
            axes.bar(range(len(below)), series.values, width, bottom=below, **look)
            below = [low + value for low, value in zip(below, series.values, strict=True)]

    def _columns(self, columns: Sequence[Sequence[Panel]], *, top: float) -> float:
        """Draw the panels and return where they end."""
        width = (WIDTH - 2 * _EDGE - _GAP * (len(columns) - 1)) / max(len(columns), 1)
        ends = top
        for number, column in enumerate(columns):
            y = top
            for panel in column:
                self._panel(panel, _Box(_EDGE + number * (width + _GAP), y, width, _panel_height(panel)))
                y += _panel_height(panel)
            ends = max(ends, y)
        return ends

    def _panel(self, panel: Panel, box: _Box) -> None:
        self._word(box.x, box.y, panel.heading, size=_HEAD, bold=True, width_max=box.width)
        if not panel.bars:
            self._word(box.x, box.y + _HEADING, panel.empty, size=_WORD, colour=FAINT, width_max=box.width)
            return
        font = self._letters.font(_WORD)
        names = [self._letters.cut(self._letters.best(bar.names), font, box.width * _NAME_SHARE) for bar in panel.bars]
        name_width = max(self._letters.width_px(name, font) for name in names) + 12
        shown_width = max(self._letters.width_px(bar.shown, font) for bar in panel.bars) + 12
        room = _Box(box.x + name_width, box.y + _HEADING, box.width - name_width - shown_width, len(panel.bars) * _ROW)
        axes = self._axes(room)
        self._lying_bars(axes, panel.bars)
        for row, (bar, name) in enumerate(zip(panel.bars, names, strict=True)):
            middle = room.y + row * _ROW + _ROW / 2
            end = room.x + room.width * max(bar.value, bar.marked or 0) / axes.get_xlim()[1]
            self._word(room.x - 12, middle, name, size=_WORD, align="right", level="center_baseline")
            self._word(end + 10, middle, bar.shown, size=_WORD, level="center_baseline")

    def _lying_bars(self, axes: Axes, bars: Sequence[Bar]) -> None:
        rows = range(len(bars))
        colours = [TONES[bar.tone] for bar in bars]
        axes.barh(rows, [bar.marked or 0 for bar in bars], 0.16, color=colours)
        axes.barh(rows, [bar.value for bar in bars], 0.62, color=colours)
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlim(0, max(max(bar.value, bar.marked or 0) for bar in bars) or 1)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines["left"].set(visible=True, color=FAINT)

    def _axes(self, box: _Box) -> Axes:
        axes = self.figure.add_axes(self._share(box), facecolor="none")
        axes.spines[:].set_visible(False)
        return axes

    def _share(self, box: _Box) -> tuple[float, float, float, float]:
        """Return the box as Matplotlib has it: in parts of the whole, from the lower left."""
        return (
            box.x / WIDTH,
            1 - (box.y + box.height) / self._height,
            box.width / WIDTH,
            box.height / self._height,
        )

    def _patch(self, box: _Box, **look: Any) -> None:
        x, y, width, height = self._share(box)
        self.figure.add_artist(Rectangle((x, y), width, height, transform=self.figure.transFigure, **look))

    def _word(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float,
        bold: bool = False,
        colour: str = INK,
        width_max: float | None = None,
        align: str = "left",
        level: str = "top",
    ) -> Text:
        font = self._letters.font(size, bold=bold)
        words = text if width_max is None else self._letters.cut(text, font, width_max)
        return self.figure.text(
            x / WIDTH, 1 - y / self._height, words, fontproperties=font, color=colour, ha=align, va=level
        )


def _look(number: int) -> tuple[str, str]:
    """Return colour and hatch of a series; where colours come again, another hatch tells them apart."""
    return COLOURS[number % len(COLOURS)], HATCHES[number // len(COLOURS) % len(HATCHES)]


def _dollars(tick: float, ticks: Sequence[float]) -> str:
    """Name one tick of the scale, with as many decimals as all of them need."""
    decimals = next((count for count in (0, 2, 4) if all(round(each, count) == round(each, 6) for each in ticks)), 6)
    return f"${tick:,.{decimals}f}"
