"""Made-up reports of any length and size, the same each time."""

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random

from bot.domain.charts import Chart
from bot.domain.errors import Refusal
from bot.domain.job import Ending, JobState
from bot.domain.reports import Period, Report, ReportJob, report_of
from bot.presentation.report_chart import chart_of

LAST = date(2026, 11, 20)
GUILD, MEMBER, CHANNEL = 7, 10**17, 2 * 10**17
GATEWAYS = ("hiapi", "shortapi", "pixeldojo", "animatic")
TITLES = {"shortapi": "ShortAPI", "hiapi": "HiAPI", "pixeldojo": "PixelDojo", "animatic": "Animatic"}
_STATES = (JobState.STORED, JobState.FAILED, JobState.CANCELLED, JobState.LOST, JobState.RUNNING)


def jobs(
    *, days: int, members: int, count: int, gateways: Sequence[str] = GATEWAYS, guild_id: int | None = GUILD
) -> list[ReportJob]:
    random = Random(days * 1_000 + members)  # noqa: S311 - protects nothing
    return [
        _job(random, number, days=days, members=members, gateways=gateways, guild_id=guild_id)
        for number in range(count)
    ]


def _job(
    random: Random, number: int, *, days: int, members: int, gateways: Sequence[str], guild_id: int | None
) -> ReportJob:
    state = random.choices(_STATES, [80, 12, 4, 2, 2])[0]
    ending = {JobState.FAILED: random.choice(list(Ending)), JobState.LOST: Ending.TASK_LIFE_OVER}.get(state)
    refused = ending in {Ending.REFUSED, Ending.GATEWAY_FAILED}
    gateway, stored = random.choice(gateways), state is JobState.STORED
    price = 0 if gateway == "animatic" else random.choice([645_000, 1_290_000, 2_290_000])
    return ReportJob(
        job_id=f"{number:016}",
        day=(LAST - timedelta(days=random.randrange(days))).isoformat(),
        guild_id=guild_id,
        user_id=MEMBER + (number if number < members else int(random.paretovariate(0.7)) % members),
        channel_id=CHANNEL + random.randrange(min(20, 2 * members)),
        gateway=gateway,
        mode="text",
        resolution="720p",
        duration_s=5,
        state=state,
        ending=ending,
        refusal=random.choice(list(Refusal)) if refused else None,
        price_microusd=price,
        settled_microusd=price if stored else 0,
        refunded_microusd=price // 2 if stored and random.random() < 0.03 else 0,
        billed_microusd=price if stored or random.random() < 0.2 else 0,
        took_s=random.uniform(30, 900) if stored else None,
    )


def period(days: int) -> Period:
    return Period(LAST - timedelta(days=days - 1), LAST, "Europe/Berlin")


def report(*, days: int = 31, members: int = 12, count: int = 300, with_loss: bool = True, **changes) -> Report:
    made = jobs(days=days, members=members, count=count, **changes)
    return report_of(made, guild_id=changes.get("guild_id", GUILD), period=period(days), with_loss=with_loss)


def chart(*, names=None, title: Sequence[str] = ("Creators' Hub",), **changes) -> Chart:
    if names is None:
        names = {MEMBER + n: (f"Member {n}",) for n in range(200)} | {
            CHANNEL + n: (f"#channel-{n}",) for n in range(20)
        }
    return chart_of(report(**changes), title=title, names=names, titles=TITLES)
