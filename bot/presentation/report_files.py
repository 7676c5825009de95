"""A report as files: one row per job as CSV, and the figures as JSON."""

import csv
import json
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from bot.domain.money import show_usd
from bot.domain.reports import Report, ReportJob, Share, TimeToVideo

CSV_NAME, CSV_PACKED_NAME, JSON_NAME, PICTURE_NAME = "report.csv", "report.csv.zip", "report.json", "report.png"
CSV_COLUMNS = (
    "job_id", "day", "member_id", "channel_id", "server_id", "gateway", "mode", "resolution", "duration_s", "state",
    "ending", "refusal", "price_usd", "charged_usd", "refunded_usd", "seconds",
)  # fmt: skip
# What begins with one of these is a formula to a spreadsheet.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_ABOUT = {
    "what": "The figures of a report. Each amount comes twice: exactly in dollars, and in whole microdollars.",
    "totals": "spent: charged less refunded, counted on the day of the hold. previews are the free ones of videos.",
    "by_member": "The same spend by member, channel and server, the largest first; null: outside of servers.",
    "outcomes": "How many jobs stand or ended like that.",
    "time_to_video": "Seconds from the command until the video was stored: the median, and what 9 of 10 took at most.",
    "operators_loss": "What gateways billed for ended jobs, and what people paid for them; null for others.",
}


def csv_file(jobs: Iterable[ReportJob]) -> bytes:
    """Return one row per job, oldest first, without prompts. Amounts are dollars, times seconds."""
    lines = _Lines()
    writer = csv.writer(lines)
    writer.writerow(CSV_COLUMNS)
    writer.writerows(
        (
            job.job_id,
            _guarded(job.day),
            job.user_id,
            job.channel_id,
            job.guild_id,
            _guarded(job.gateway),
            _guarded(job.mode),
            _guarded(job.resolution),
            job.duration_s,
            job.state,
            job.ending,
            job.refusal,
            _dollars(job.price_microusd),
            _dollars(job.settled_microusd),
            _dollars(job.refunded_microusd),
            job.took_s,
        )
        for job in jobs
    )
    return "".join(lines.kept).encode()


class _Lines:
    """What the csv module writes to."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.write = self.kept.append


@lru_cache(maxsize=4_096)
def _guarded(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


@lru_cache(maxsize=4_096)
def _dollars(amount_microusd: int) -> str:
    return show_usd(amount_microusd).replace("$", "").replace(",", "")


def json_file(report: Report, *, made_at: datetime) -> bytes:
    """Return the figures, described in the document itself."""
    period, paid = report.period, report.time_to_paid_video
    content = {
        "about": _ABOUT,
        "server_id": _id(report.guild_id),
        "period": {"first": str(period.first), "last": str(period.last), "time_zone": period.zone},
        "made_at": made_at.isoformat(),
        "totals": {
            "jobs": report.jobs,
            "videos": report.videos,
            "previews": report.previews,
            **_amount("spent", report.spent_microusd),
            **_amount("refunded", report.refunded_microusd),
            **_amount("on_hold", report.on_hold_microusd),
        },
        "by_day": [
            {"day": str(day.day), "gateway": day.gateway, **_amount("spent", day.spent_microusd)} for day in report.days
        ],
        "by_member": [{"member_id": _id(share.subject_id), **_share(share)} for share in report.members],
        "by_channel": [{"channel_id": _id(share.subject_id), **_share(share)} for share in report.channels],
        "by_server": [{"server_id": _id(share.subject_id), **_share(share)} for share in report.guilds],
        "outcomes": [
            {"state": each.state, "ending": each.ending, "refusal": each.refusal, "jobs": each.jobs}
            for each in report.outcomes
        ],
        "time_to_video": [{"gateway": time.gateway, **_time(time)} for time in report.times],
        "time_to_paid_video": None if paid is None else _time(paid),
        "operators_loss": None
        if report.losses is None
        else [
            {
                "gateway": loss.gateway,
                **_amount("billed", loss.billed_microusd),
                **_amount("paid", loss.paid_microusd),
                **_amount("loss", loss.loss_microusd),
            }
            for loss in report.losses
        ],
    }
    return json.dumps(content, indent=2).encode() + b"\n"


def _id(subject_id: int | None) -> str | None:
    # As text: other languages read a number of this length without its last digits.
    return None if subject_id is None else str(subject_id)


def _amount(name: str, amount_microusd: int) -> dict[str, str | int]:
    return {f"{name}_usd": _dollars(amount_microusd), f"{name}_microusd": amount_microusd}


def _share(share: Share) -> dict[str, str | int]:
    return {**_amount("spent", share.spent_microusd), "videos": share.videos}


def _time(time: TimeToVideo) -> dict[str, Any]:
    return {"videos": time.videos, "median_s": time.median_s, "p90_s": time.p90_s}
