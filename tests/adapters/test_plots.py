"""Reports' pictures: nothing is clipped, nothing overlaps, any name can stand in them, and a child draws them."""

import itertools
import logging
import os
from importlib.util import find_spec
from io import BytesIO

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from bot.adapters.media import plots, report_picture
from bot.adapters.media.lettering import ELLIPSIS, Lettering
from bot.adapters.media.plots import KeptPlotter
from bot.adapters.media.report_picture import COLOURS, FAINT, GROUND, HATCHES, INK, TONES, WIDTH, height_of
from bot.domain.charts import Chart, NoPicture, Series
from tests.presentation.report_samples import CHANNEL, GATEWAYS, MEMBER, chart

NAMES = [
    ("$\\alpha$ $100 rich",),
    ("田中太郎", "tanaka"),
    ("Mia 🐴✨",),
    ("مرحبا بالعالم",),
    ("שלום",),
    ("W" * 100,),
    ("Z̷̢̛͍a̸̧l̵̡g̶o̸",),
    ("🐴🐴", "horsey"),
    ("\u202eevil\u2066",),
    ("  ",),
    ("_under^score_{",),
    ("line\nbreak\ttab\0",),
    ("\ud800",),
]
STRANGE = {first + n: name for first in (MEMBER, CHANNEL) for n, name in enumerate(NAMES)}
LOUD = ("🐴 馬", "A server whose name is as long as Discord lets it be, " * 2)


def drawn(made: Chart):
    """Return the picture's words and bars with their places in pixels, and its size."""
    figure = report_picture.figure(made)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    words = list(figure.texts)
    for axes in figure.axes:
        words += [label for axis in (axes.xaxis, axes.yaxis) for label in axis.get_ticklabels()]
    words = [(word.get_text(), word.get_window_extent(renderer)) for word in words if word.get_text()]
    bars = [bar.get_window_extent(renderer) for axes in figure.axes for bar in axes.patches]
    return words, [bar for bar in bars if bar.width > 0 and bar.height > 0], figure.bbox


def overlap(one, other) -> bool:
    wide = min(one.x1, other.x1) - max(one.x0, other.x0)
    high = min(one.y1, other.y1) - max(one.y0, other.y0)
    return wide > 1 and high > 1


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param({"days": 1, "members": 5, "count": 12, "gateways": GATEWAYS[:1]}, id="a day"),
        pytest.param({"days": 7, "members": 12, "count": 80}, id="a week"),
        pytest.param({"days": 31, "members": 200, "count": 900}, id="a month of 200 members"),
        pytest.param({"days": 45, "members": 40, "count": 200}, id="as many days as stand alone"),
        pytest.param({"days": 46, "members": 40, "count": 200}, id="one day more"),
        pytest.param({"days": 366, "members": 200, "count": 3_000}, id="a leap year"),
        pytest.param({"days": 366, "members": 200, "count": 500, "guild_id": None}, id="the whole bot"),
        pytest.param({"days": 31, "members": 1, "count": 0}, id="nothing"),
        pytest.param({"days": 366, "members": 1, "count": 1, "gateways": GATEWAYS[:1]}, id="one job"),
        pytest.param({"days": 31, "members": 3, "count": 30, "gateways": GATEWAYS[3:]}, id="previews alone"),
        pytest.param({"members": 13, "names": STRANGE, "title": LOUD}, id="strange names"),
        pytest.param({"members": 200, "count": 900, "names": {}}, id="no names"),
    ],
)
def test_nothing_is_clipped_and_nothing_overlaps(sample) -> None:
    words, bars, page = drawn(chart(**sample))

    assert [text for text, box in words if not (box.x0 >= 0 and box.x1 <= page.x1)] == []
    assert [text for text, box in words if not (box.y0 >= 0 and box.y1 <= page.y1)] == []
    assert [(a[0], b[0]) for a, b in itertools.combinations(words, 2) if overlap(a[1], b[1])] == []
    assert [text for text, box in words if any(overlap(box, bar) for bar in bars)] == []
    assert all(bar.x0 >= 0 and bar.x1 <= page.x1 for bar in bars)


def test_the_check_above_sees_what_is_too_wide() -> None:
    wide = chart(members=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lettering, "cut", lambda self, text, font, width: text)
        words, _, page = drawn(Chart(**{**vars_of(wide), "notes": ("W" * 300,)}))

    assert any(box.x1 > page.x1 for _, box in words)


def vars_of(made: Chart) -> dict:
    return {name: getattr(made, name) for name in Chart.__dataclass_fields__}


def test_a_huge_amount_fits(tmp_path) -> None:
    made = chart(days=7)
    values = tuple(1e6 + n / 3 for n in range(7))
    words, _, page = drawn(Chart(**{**vars_of(made), "series": (Series("HiAPI", values),)}))

    assert all(box.x0 >= 0 and box.x1 <= page.x1 for _, box in words)


def test_the_scale_of_small_amounts_is_exact() -> None:
    made = chart(days=1)
    words, _, _ = drawn(Chart(**{**vars_of(made), "series": (Series("HiAPI", (0.0021,)),)}))

    assert {"$0.0000", "$0.0005", "$0.0010", "$0.0015", "$0.0020"} <= {text for text, _ in words}


def test_more_gateways_than_colours_are_told_apart_by_hatches() -> None:
    looks = [report_picture._look(number) for number in range(len(COLOURS) * len(HATCHES))]

    assert len(set(looks)) == len(looks)


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("ink", [INK, FAINT])
def test_words_stand_out_from_their_ground(ink: str) -> None:
    assert contrast(ink, GROUND) >= 4.5


@pytest.mark.parametrize("tone", TONES.values())
def test_bars_stand_out_from_their_ground(tone: str) -> None:
    assert contrast(tone, GROUND) >= 3


def test_colours_are_told_apart_in_grey() -> None:
    assert min(contrast(one, other) for one, other in itertools.pairwise(COLOURS)) >= 1.5


def lettering() -> Lettering:
    figure = report_picture.figure(chart(count=0))
    return Lettering(FigureCanvasAgg(figure).get_renderer(), report_picture.FAMILY)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("Mia 🐴✨", "mia"), "Mia"),
        (("田中太郎", "tanaka"), "tanaka"),
        (("馬 馬 馬 A", "rider"), "rider"),
        (("♞",), "♞"),
        (("\u202eevil",), "evil"),
        (("a\nb\tc\0",), "a b c"),
        (("Z̷̢̛͍a̸̧",), "Z̷a̸"),
        (("🐴", "  "), ELLIPSIS),
        (("$\\frac{1}{2}$",), "$\\frac{1}{2}$"),
    ],
)
def test_a_name_is_the_first_that_can_be_read(names, shown) -> None:
    assert lettering().best(names) == shown


@pytest.mark.parametrize("room_px", [0, 10, 60, 200, 1_000])
def test_a_cut_name_is_no_wider_than_its_room(room_px: int) -> None:
    letters = lettering()
    font = letters.font(16)
    cut = letters.cut("A rather long name of somebody", font, room_px)

    assert letters.width_px(cut, font) <= room_px or cut == ELLIPSIS
    assert cut.endswith(ELLIPSIS) == (room_px < 1_000)


async def test_a_child_draws_and_is_kept_and_needs_no_settings_of_ours(tmp_path) -> None:
    os.environ["MPLCONFIGDIR"] = "/nowhere"
    plotter = KeptPlotter(tmp_path / "fonts")
    made = chart(names=STRANGE, members=13)
    try:
        await plotter.prepare()
        await plotter.prepare()
        first = plotter._child._process
        pictures = [await plotter.draw(made) for _ in range(2)]
        assert plotter._child._process is first
    finally:
        await plotter.aclose()

    assert first.returncode is not None
    image = Image.open(BytesIO(pictures[0])).convert("RGB")
    assert pictures[0] == pictures[1]
    assert image.size == (WIDTH, height_of(made))
    assert list((tmp_path / "fonts").glob("fontlist*"))
    ground = tuple(round(255 * part) for part in to_rgb(GROUND))
    assert {image.getpixel((x, y)) for x in (4, image.width - 5) for y in range(image.height)} == {ground}
    assert {image.getpixel((x, y)) for x in range(image.width) for y in (4, image.height - 5)} == {ground}


async def test_a_child_that_died_before_it_was_asked_is_replaced(tmp_path) -> None:
    plotter = KeptPlotter(tmp_path)
    try:
        await plotter.prepare()
        plotter._child._process.kill()
        await plotter._child._process.wait()

        assert isinstance(await plotter.draw(chart(count=0)), bytes)
    finally:
        await plotter.aclose()


async def test_without_the_library_there_is_no_picture_and_no_child(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda name: None if name == "matplotlib" else find_spec(name))
    plotter = KeptPlotter(tmp_path)

    await plotter.prepare()

    assert plotter._child._process is None
    assert await plotter.draw(chart(count=0)) is NoPicture.NOT_INSTALLED


async def test_a_child_that_cannot_draw_costs_the_picture_alone(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(plots, "_QUICK_S", 0.01)
    monkeypatch.setattr(plots, "_TIMEOUT_S", 0.01)
    plotter = KeptPlotter(tmp_path)
    try:
        with caplog.at_level(logging.WARNING):
            assert await plotter.draw(chart(count=0)) is NoPicture.FAILED
    finally:
        await plotter.aclose()

    assert "report not drawn" in caplog.text
