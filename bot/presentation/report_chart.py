"""Turns a report into the chart that is drawn: which bars there are, in what order, and what stands beside them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

from bot.domain.charts import Bar, Chart, Panel, Series, Tile, Tone
from bot.domain.money import MICROUSD_PER_USD, show_usd
from bot.domain.reports import Period, Report, Share, TimeToVideo
from bot.presentation.report_words import (
    CANCELLED,
    DIRECT_MESSAGES,
    FINISHED,
    UNDER_WAY,
    failed,
    outcomes_in_words,
    period_words,
    share_words,
    short_day,
    span_words,
)
from bot.presentation.words import counted

MEMBERS_MAX, PLACES_MAX, REASONS_MAX = 15, 10, 7
# More daily bars than this are too thin to be told apart; then they are weekly.
DAILY_MAX = 45

# For each id the names that may stand in a picture, the best first.
Names = Mapping[int, Sequence[str]]


def shown_subjects(report: Report) -> tuple[list[int], list[int]]:
    """Return the members and the channels whose names the chart shows."""
    members = [share.subject_id for share in report.members[:MEMBERS_MAX] if share.subject_id is not None]
    channels = [share.subject_id for share in report.channels[:PLACES_MAX] if share.subject_id is not None]
    return members, channels


def chart_of(report: Report, *, title: Sequence[str], names: Names, titles: Mapping[str, str]) -> Chart:
    """Return the chart. `title` says whose report it is, the best name first; `titles` are the gateways'."""
    period = report.period
    zone = f", days in {period.zone}" if report.guild_id is not None else ", days in UTC"
    heading, bins, series = _spend(report, titles)
    members = _shares(
        "By member", report.members, MEMBERS_MAX, "members", lambda member: _named(names, member, "member")
    )
    if report.guild_id is None:
        places = _shares(
            "By server", report.guilds, PLACES_MAX, "servers", lambda guild: _named(names, guild, "server")
        )
    else:
        places = _shares(
            "By channel", report.channels, PLACES_MAX, "channels", lambda channel: _named(names, channel, "channel")
        )
    return Chart(
        titles=tuple(title),
        subtitle=f"{period_words(period)}{zone}",
        tiles=tuple(_tiles(report)),
        heading=heading,
        bins=bins,
        series=series,
        empty="Nothing was spent.",
        columns=((members, _times(report, titles)), (places, _outcomes(report))),
        notes=tuple(_notes(report, titles)),
    )


def _tiles(report: Report) -> list[Tile]:
    refunded = f", {show_usd(report.refunded_microusd)} refunded" if report.refunded_microusd else ""
    previews = f", {counted(report.previews, 'free preview')}" if report.previews else ""
    tiles = [
        Tile(f"spent{refunded}", show_usd(report.spent_microusd)),
        Tile("on hold", show_usd(report.on_hold_microusd)),
        Tile(f"{'video' if report.videos == 1 else 'videos'}{previews}", f"{report.videos:,}"),
        Tile("failed", share_words(failed(report), report.jobs)),
    ]
    time = report.time_to_paid_video
    if time is not None:
        tiles.append(Tile("to a video, median", span_words(time.median_s)))
    if report.losses is not None:
        tiles.append(Tile("operator's loss", show_usd(report.loss_microusd)))
    return tiles


def _spend(report: Report, titles: Mapping[str, str]) -> tuple[str, tuple[str, ...], tuple[Series, ...]]:
    starts = bins_of(report.period)
    daily = report.period.days <= DAILY_MAX
    place = {start: number for number, start in enumerate(starts)}
    values = {gateway: [0] * len(starts) for gateway in report.gateways}
    for day in report.days:
        start = day.day if daily else max(report.period.first, day.day - timedelta(days=day.day.weekday()))
        values[day.gateway][place[start]] += day.spent_microusd
    series = tuple(
        Series(titles.get(gateway, gateway), tuple(each / MICROUSD_PER_USD for each in of_gateway))
        for gateway, of_gateway in values.items()
        if any(of_gateway)
    )
    heading = "Spend by day" if daily else "Spend by week, from Monday"
    return heading, tuple(short_day(start) for start in starts), series


def bins_of(period: Period) -> list[date]:
    """Return the first day of each bar."""
    days = [period.first + timedelta(days=number) for number in range(period.days)]
    return days if period.days <= DAILY_MAX else [day for day in days if day == period.first or day.weekday() == 0]


def _shares(
    heading: str, shares: Sequence[Share], most: int, things: str, name: Callable[[int | None], Sequence[str]]
) -> Panel:
    """Return the largest shares and one bar for all others; whoever spent nothing has no bar."""
    spent = [share for share in shares if share.spent_microusd]
    shown = spent if len(spent) <= most + 1 else spent[:most]
    bars = [_bar(tuple(name(share.subject_id)), share) for share in shown]
    if rest := spent[len(shown) :]:
        total = Share(None, sum(share.spent_microusd for share in rest), sum(share.videos for share in rest))
        bars.append(_bar((f"{len(rest):,} other {things}",), total, Tone.REST))
    return Panel(heading, tuple(bars), "Nobody spent anything." if things == "members" else "Nothing was spent.")


def _bar(names: tuple[str, ...], share: Share, tone: Tone = Tone.PLAIN) -> Bar:
    shown = f"{show_usd(share.spent_microusd)}, {counted(share.videos, 'video')}"
    return Bar(names, share.spent_microusd / MICROUSD_PER_USD, shown, tone)


def _named(names: Names, subject_id: int | None, thing: str) -> Sequence[str]:
    if subject_id is None:
        return (DIRECT_MESSAGES,)
    return (*names.get(subject_id, ()), f"{thing} {subject_id}")


def _outcomes(report: Report) -> Panel:
    tones = {FINISHED: Tone.GOOD, CANCELLED: Tone.REST, UNDER_WAY: Tone.REST}
    found = outcomes_in_words(report)
    reasons = [words for words in found if words not in tones]
    others = reasons[REASONS_MAX:] if len(reasons) > REASONS_MAX + 1 else []
    bars = [
        Bar((words,), jobs, share_words(jobs, report.jobs), tones.get(words, Tone.BAD))
        for words, jobs in found.items()
        if words not in others
    ]
    if others:
        jobs = sum(found[words] for words in others)
        bars.append(Bar((f"{len(others)} other failures",), jobs, share_words(jobs, report.jobs), Tone.BAD))
    return Panel("What became of the jobs", tuple(bars), "There were no jobs.")


def _times(report: Report, titles: Mapping[str, str]) -> Panel:
    bars = [_time_bar(titles.get(time.gateway, time.gateway), time) for time in report.times]
    if len(bars) > 1 and report.time_to_paid_video is not None:
        bars.insert(0, _time_bar("all but previews", report.time_to_paid_video))
    return Panel("Time to video: median, and 9 of 10 within", tuple(bars), "There were no videos.")


def _time_bar(name: str, time: TimeToVideo) -> Bar:
    shown = f"{span_words(time.median_s)}, {span_words(time.p90_s)}"
    return Bar((name,), time.median_s, shown, marked=time.p90_s)


def _notes(report: Report, titles: Mapping[str, str]) -> list[str]:
    return [
        f"Operator's loss at {titles.get(loss.gateway, loss.gateway)}: {show_usd(loss.loss_microusd)} "
        f"({show_usd(loss.billed_microusd)} billed, {show_usd(loss.paid_microusd)} paid)."
        for loss in report.losses or ()
    ]
