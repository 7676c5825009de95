"""A report as text: a table for the terminal, and what stands above picture and files on Discord."""

from collections.abc import Iterator, Mapping, Sequence

from discord import ui

from bot.domain.charts import NoPicture
from bot.domain.money import show_usd
from bot.domain.reporting import REPORT_DAYS_MAX, PeriodProblem, PeriodRejected
from bot.domain.reports import Report, Share
from bot.presentation.layout import Layout, gallery, plain, text
from bot.presentation.report_files import CSV_NAME, CSV_PACKED_NAME, PICTURE_NAME
from bot.presentation.report_words import (
    DIRECT_MESSAGES,
    failed,
    outcomes_in_words,
    period_words,
    share_words,
    span_words,
)
from bot.presentation.words import DOT, counted

BEING_MADE = "The report is being made already; it comes in the other answer."
NOT_SENT = "Discord did not take the report just now. Try again in a minute."
TOO_LARGE = "Discord does not take files as large as this report's here. Ask for fewer days."
# Gallop is on no index: its name there may be anybody's.
INSTALL_PLOTS = "`make plots` in Gallop's folder installs it"
_ROWS_MAX = 15
_MENTIONS_MAX = 5
_NO_PICTURE = {
    NoPicture.NOT_INSTALLED: f"There is no picture: the plotting library is not installed. {INSTALL_PLOTS}.",
    NoPicture.FAILED: "The picture could not be drawn; the log says why.",
}
_PACKED = f"`{CSV_NAME}` comes packed, as it is too large for Discord here."
_LEFT_OUT = f"`{CSV_NAME}` is too large for Discord here. Ask for fewer days, or let the operator run `gallop report`."


def no_picture(why: NoPicture) -> str:
    """Say in one line why there is no picture, and what helps."""
    return _NO_PICTURE[why]


def report_card(
    report: Report, *, titles: Mapping[str, str], files: Sequence[str], why_none: NoPicture | None
) -> Layout:
    """Return what accompanies the files of those names; the picture, where it is one of them, is shown."""
    lines = [f"**Report, {period_words(report.period)}**", *_totals(report), *_in_short(report, titles)]
    if why_none is not None:
        lines.append(no_picture(why_none))
    if CSV_PACKED_NAME in files:
        lines.append(_PACKED)
    elif CSV_NAME not in files:
        lines.append(_LEFT_OUT)
    lines.append(f"-# Days in {report.period.zone}. Only you see this.")
    parts: list[ui.Item[Layout]] = [text(*lines)]
    if PICTURE_NAME in files:
        parts.append(
            gallery([f"attachment://{PICTURE_NAME}"], [" ".join([period_words(report.period), *_totals(report)])])
        )
    parts += [ui.File(f"attachment://{name}") for name in files if name != PICTURE_NAME]
    return plain(*parts)


def _totals(report: Report) -> Iterator[str]:
    """Say the totals without any formatting, also for who cannot see the picture."""
    refunded = f" ({show_usd(report.refunded_microusd)} refunded)" if report.refunded_microusd else ""
    previews = f" ({counted(report.previews, 'free preview')})" if report.previews else ""
    yield DOT.join(
        (
            f"{show_usd(report.spent_microusd)} spent{refunded}",
            f"{show_usd(report.on_hold_microusd)} on hold",
            f"{counted(report.videos, 'video')}{previews}",
            f"{share_words(failed(report), report.jobs)} failed",
        )
    )
    time = report.time_to_paid_video
    if time is not None:
        yield f"Half of the videos came within {span_words(time.median_s)}, 9 of 10 within {span_words(time.p90_s)}."


def _in_short(report: Report, titles: Mapping[str, str]) -> Iterator[str]:
    by_gateway = [f"{titles.get(name, name)} {show_usd(spent)}" for name, spent in report.gateways.items() if spent]
    if by_gateway:
        yield f"By gateway: {', '.join(by_gateway)}"
    most = [share for share in report.members if share.spent_microusd]
    if most:
        shown = (f"<@{share.subject_id}> {show_usd(share.spent_microusd)}" for share in most[:_MENTIONS_MAX])
        more = f" and {len(most) - _MENTIONS_MAX:,} more" if len(most) > _MENTIONS_MAX else ""
        yield f"By member: {', '.join(shown)}{more}"
    if report.losses is not None:
        yield f"Operator's loss: {show_usd(report.loss_microusd)}"


def report_table(report: Report, *, titles: Mapping[str, str]) -> list[str]:
    """Return the report for a terminal, line by line."""
    whose = "the whole bot" if report.guild_id is None else f"server {report.guild_id}"
    lines = [f"Report of {whose}, {period_words(report.period)}, days in {report.period.zone}", *_totals(report)]
    spent = [(titles.get(name, name), show_usd(amount)) for name, amount in report.gateways.items() if amount]
    lines += _section("Spend by gateway", spent)
    days: dict[str, int] = {}
    for day in report.days:
        days[str(day.day)] = days.get(str(day.day), 0) + day.spent_microusd
    lines += _section("Spend by day", [(day, show_usd(amount)) for day, amount in days.items()])
    lines += _section("By member", _share_rows(report.members, "members"))
    if report.guild_id is None:
        lines += _section("By server", _share_rows(report.guilds, "servers"))
    lines += _section("By channel", _share_rows(report.channels, "channels"))
    outcomes = outcomes_in_words(report).items()
    lines += _section("What became of the jobs", [(words, share_words(jobs, report.jobs)) for words, jobs in outcomes])
    times = (
        (titles.get(time.gateway, time.gateway), span_words(time.median_s), span_words(time.p90_s))
        for time in report.times
    )
    lines += _section("Time to video: median, and 9 of 10 within", list(times))
    losses = (
        (
            titles.get(loss.gateway, loss.gateway),
            show_usd(loss.loss_microusd),
            f"{show_usd(loss.billed_microusd)} billed",
            f"{show_usd(loss.paid_microusd)} paid",
        )
        for loss in report.losses or ()
    )
    return lines + _section("Operator's loss", list(losses))


def _share_rows(shares: Sequence[Share], things: str) -> list[tuple[str, ...]]:
    """Return the largest shares and one row for all others."""
    shown = shares if len(shares) <= _ROWS_MAX + 1 else shares[:_ROWS_MAX]
    rows = [_share_row(DIRECT_MESSAGES if each.subject_id is None else str(each.subject_id), each) for each in shown]
    if rest := shares[len(shown) :]:
        total = Share(None, sum(each.spent_microusd for each in rest), sum(each.videos for each in rest))
        rows.append(_share_row(f"{len(rest):,} other {things}", total))
    return rows


def _share_row(name: str, share: Share) -> tuple[str, ...]:
    return name, show_usd(share.spent_microusd), counted(share.videos, "video")


def _section(heading: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned columns under their heading, the first one from the left; nothing where there are no rows."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return ["", heading, *(f"  {line}" for line in lines)]


def period_reply(error: PeriodRejected) -> str:
    """Say why there is no report of such days, and what to type."""
    match error.problem:
        case PeriodProblem.NOT_A_DATE:
            return f"What stands in `{error.detail}` is no date.\nWrite year, month and day, for example {error.today}."
        case PeriodProblem.TWO_WAYS:
            return "A report is of a running period or of dates, not of both.\nLeave one of them out."
        case PeriodProblem.NO_FIRST:
            return f"It is not said from when.\nAdd `from`, for example {error.today.replace(day=1)}."
        case PeriodProblem.BACKWARDS:
            return f"{error.detail} goes backwards.\n`from` is the earlier day."
        case PeriodProblem.FUTURE:
            return f"{error.detail} has not come yet; today is {error.today}.\nChoose days up to today."
        case PeriodProblem.TOO_LONG:
            return f"That is {error.detail} days; a report has at most {REPORT_DAYS_MAX}.\nChoose a later `from`."
