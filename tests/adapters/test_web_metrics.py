"""The figures: each counts what it says, none holds an id, and a failing part leaves the others there."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import discord
import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from bot.adapters.gateways.measured import MeasuredGateway
from bot.adapters.metrics import Figures, Metrics
from bot.adapters.store.sqlite import SqliteStore, open_store
from bot.domain.breakers import Breakers
from bot.domain.errors import (
    GatewayError,
    GatewayUnavailable,
    Refusal,
    StoreFailed,
    SubmissionRefused,
    SubmissionUnconfirmed,
    VideoUnusable,
)
from bot.domain.job import Delivery, JobState
from bot.sandbox.discord import SandboxDiscord
from tests.adapters.gateway_cases import CASES, Case, any_attempt, hiapi, sample
from tests.adapters.store_fixtures import PRICE, open_in
from tests.fakes import FakeClock, FakeLibrary

GATEWAYS = ("shortapi", "hiapi", "animatic")
NAMES = {
    "gallop_jobs",
    "gallop_deliveries",
    "gallop_open_holds",
    "gallop_on_hold_dollars",
    "gallop_unconfirmed_jobs",
    "gallop_time_to_video_seconds",
    "gallop_delivery_lag_seconds",
    "gallop_gateway_answers",
    "gallop_ledger_seconds",
    "gallop_loop_lag_seconds",
    "gallop_discord_rate_limits",
    "gallop_breaker_state",
    "gallop_disk_free_bytes",
    "gallop_build_info",
    "gallop_scrape_errors",
}
OF_STORE = {
    "gallop_jobs",
    "gallop_deliveries",
    "gallop_open_holds",
    "gallop_on_hold_dollars",
    "gallop_unconfirmed_jobs",
}


@dataclass
class Scraped:
    """The figures over a real store."""

    store: SqliteStore
    library: FakeLibrary
    breakers: Breakers
    metrics: Metrics
    figures: Figures

    async def families(self) -> list[Metric]:
        return list(text_string_to_metric_families((await self.figures.text()).decode()))

    async def values(self) -> dict[str, float]:
        """Scrape: each sample under its name and, in braces, its labels in order."""
        found = [sample for family in await self.families() for sample in family.samples]
        return {_shown(sample.name, sample.labels): sample.value for sample in found}

    async def names(self) -> set[str]:
        """Scrape: the name of each figure; the client library adds when a counter was made."""
        return {family.name for family in await self.families() if not family.name.endswith("_created")}


def _shown(name: str, labels: Mapping[str, str]) -> str:
    return f"{name}{{{','.join(f'{key}={labels[key]}' for key in sorted(labels))}}}" if labels else name


@pytest.fixture
async def scraped(tmp_path: Path) -> AsyncIterator[Scraped]:
    metrics, library, breakers = Metrics(version="1.2.3"), FakeLibrary(tmp_path), Breakers(FakeClock())
    async with open_store(tmp_path / "gallop.db", observe=metrics.ledger_took) as store:
        figures = Figures(metrics, store=store, library=library, breakers=breakers, gateways=GATEWAYS)
        yield Scraped(store, library, breakers, metrics, figures)


async def test_every_promised_figure_is_there_and_nothing_else(scraped: Scraped) -> None:
    scraped.metrics.gateway_answered("hiapi", call="read", error=None)
    scraped.metrics.video_stored("hiapi", seconds=1)

    assert await scraped.names() == NAMES


async def test_what_the_database_knows_is_read_at_each_scrape(scraped: Scraped) -> None:
    assert (await scraped.values())["gallop_jobs{gateway=hiapi,state=running}"] == 0
    for state in (JobState.RUNNING, JobState.RUNNING, JobState.UNCONFIRMED, JobState.STORED):
        await open_in(scraped.store, state)
    await open_in(scraped.store, JobState.HELD, gateway="shortapi")

    values = await scraped.values()

    assert values["gallop_jobs{gateway=hiapi,state=running}"] == 2
    assert values["gallop_jobs{gateway=shortapi,state=held}"] == 1
    assert values["gallop_jobs{gateway=animatic,state=held}"] == 0
    assert sum(value for name, value in values.items() if name.startswith("gallop_jobs{")) == 5
    assert values["gallop_deliveries{delivery=due}"] == 1
    assert values["gallop_unconfirmed_jobs"] == 1
    assert values["gallop_open_holds"] == 4
    assert values["gallop_on_hold_dollars"] == 4 * PRICE / 1_000_000


async def test_every_state_and_delivery_has_a_line_from_the_start(scraped: Scraped) -> None:
    values = await scraped.values()

    assert {name for name in values if name.startswith("gallop_jobs{")} == {
        f"gallop_jobs{{gateway={gateway},state={state}}}" for state in JobState for gateway in GATEWAYS
    }
    assert {f"gallop_deliveries{{delivery={delivery}}}" for delivery in Delivery} <= set(values)


async def test_jobs_of_a_gateway_that_is_gone_are_still_counted(scraped: Scraped) -> None:
    await open_in(scraped.store, JobState.STORED, gateway="pixeldojo")

    assert (await scraped.values())["gallop_jobs{gateway=pixeldojo,state=stored}"] == 1


async def test_a_store_that_fails_leaves_its_figures_out_and_the_others_in(
    scraped: Scraped, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        raise StoreFailed("gone")

    with monkeypatch.context() as patch:
        patch.setattr(scraped.store, "counts", fails)
        names, values = await scraped.names(), await scraped.values()

    assert OF_STORE.isdisjoint(names)
    assert NAMES - OF_STORE - {"gallop_time_to_video_seconds", "gallop_gateway_answers"} <= names
    assert values["gallop_scrape_errors_total"] == 2
    assert await scraped.names() >= OF_STORE


async def test_a_store_that_hangs_does_not_hold_up_a_scrape(scraped: Scraped, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(scraped.store, "counts", hangs)
    scraped.figures._store_timeout_s = 0.01

    assert (await scraped.values())["gallop_scrape_errors_total"] == 1


async def test_a_disk_that_cannot_be_read_leaves_its_figure_out(
    scraped: Scraped, monkeypatch: pytest.MonkeyPatch
) -> None:
    scraped.library.free = 123
    assert (await scraped.values())["gallop_disk_free_bytes"] == 123

    async def fails() -> int:
        raise OSError

    monkeypatch.setattr(scraped.library, "free_bytes", fails)
    values = await scraped.values()

    assert "gallop_disk_free_bytes" not in values
    assert values["gallop_scrape_errors_total"] == 1


async def test_times_are_counted_where_they_belong(scraped: Scraped) -> None:
    scraped.metrics.video_stored("hiapi", seconds=61.0)
    scraped.metrics.video_posted(seconds=0.3)
    scraped.metrics.loop_was_late(0.004)

    values = await scraped.values()

    assert values["gallop_time_to_video_seconds_sum{gateway=hiapi}"] == 61.0
    assert values["gallop_time_to_video_seconds_bucket{gateway=hiapi,le=60.0}"] == 0
    assert values["gallop_time_to_video_seconds_bucket{gateway=hiapi,le=90.0}"] == 1
    assert values["gallop_delivery_lag_seconds_count"] == 1
    assert values["gallop_loop_lag_seconds_bucket{le=0.002}"] == 0
    assert values["gallop_loop_lag_seconds_bucket{le=0.005}"] == 1


async def test_the_ledgers_writes_are_timed(scraped: Scraped) -> None:
    before = (await scraped.values())["gallop_ledger_seconds_count"]
    await scraped.store.set_note("a", "b")

    assert (await scraped.values())["gallop_ledger_seconds_count"] == before + 1


async def test_breakers_show_how_they_stand(scraped: Scraped) -> None:
    clock = FakeClock()
    scraped.figures._breakers = breakers = Breakers(clock)
    breakers.refused("hiapi", Refusal.KEY)
    breakers.refused("shortapi", Refusal.BUSY, retry_after_s=5)
    clock.turn(6)

    values = await scraped.values()

    assert [values[f"gallop_breaker_state{{gateway={name}}}"] for name in GATEWAYS] == [1, 2, 0]


async def test_the_version_is_told(scraped: Scraped) -> None:
    assert (await scraped.values())["gallop_build_info{version=1.2.3}"] == 1


async def test_two_bots_in_one_process_share_no_figure() -> None:
    first, second = Metrics(version="1"), Metrics(version="2")
    first.loop_was_late(1)

    assert second.registry.get_sample_value("gallop_loop_lag_seconds_count") == 0


ERRORS = [
    (SubmissionRefused("hiapi", "402", Refusal.CREDIT), "refused", "credit"),
    (SubmissionUnconfirmed("hiapi", "reset"), "unconfirmed", "none"),
    (GatewayUnavailable("hiapi", "429", Refusal.BUSY), "unavailable", "busy"),
    (VideoUnusable("hiapi", "html"), "unusable", "none"),
]


@pytest.mark.parametrize(
    ("error", "outcome", "reason"), ERRORS, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_every_error_of_a_gateway_has_an_outcome_and_a_class(
    scraped: Scraped, error: GatewayError, outcome: str, reason: str
) -> None:
    scraped.metrics.gateway_answered("hiapi", call="submit", error=error)

    labels = f"call=submit,gateway=hiapi,outcome={outcome},reason={reason}"
    assert (await scraped.values())[f"gallop_gateway_answers_total{{{labels}}}"] == 1


def test_no_error_of_a_gateway_is_forgotten() -> None:
    assert {type(error) for error, _, _ in ERRORS} == set(GatewayError.__subclasses__())


Told = list[tuple[str, str, str]]


def measured(case: Case, *answers: httpx.Response) -> tuple[MeasuredGateway, Told]:
    queue, told = list(answers), Told()

    def answered(gateway: str, *, call: str, error: GatewayError | None) -> None:
        told.append((gateway, call, type(error).__name__))

    return MeasuredGateway(case.build(lambda _: queue.pop(0)), answered), told


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_each_answer_of_a_gateway_is_told_once(case: Case, tmp_path: Path) -> None:
    answers = [
        sample(case.name, "created"),
        sample(case.name, "refused"),
        httpx.Response(500),
        sample(case.name, "running"),
        httpx.Response(401),
    ]
    gateway, told = measured(case, *answers)

    assert (await gateway.submit(any_attempt(gateway))).gateway_job_id == case.job_id
    with pytest.raises(SubmissionRefused):
        await gateway.submit(any_attempt(gateway))
    with pytest.raises(SubmissionUnconfirmed):
        await gateway.submit(any_attempt(gateway))
    await gateway.read(case.job_id)
    with pytest.raises(GatewayUnavailable):
        await gateway.read(case.job_id)
    with pytest.raises(VideoUnusable):
        await gateway.fetch("https://elsewhere.example/v.mp4", tmp_path / "v.mp4")
    await gateway.aclose()

    assert told == [
        (case.name, "submit", "NoneType"),
        (case.name, "submit", "SubmissionRefused"),
        (case.name, "submit", "SubmissionUnconfirmed"),
        (case.name, "read", "NoneType"),
        (case.name, "read", "GatewayUnavailable"),
        (case.name, "fetch", "VideoUnusable"),
    ]


async def test_a_measured_gateway_is_the_same_gateway() -> None:
    plain = hiapi()
    gateway = MeasuredGateway(plain, lambda *_, **__: None)
    submission_body = any_attempt(plain).body

    assert gateway.capabilities is plain.capabilities
    assert any_attempt(gateway).body == submission_body
    assert gateway.callback_job_id(b'{"taskId": "t"}') == "t"
    assert gateway.is_genuine({}, b"", now=FakeClock().now())
    await gateway.aclose()


async def test_discords_rate_limits_are_counted_in_its_own_client(
    scraped: Scraped, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SandboxDiscord.start(openapi=None) as sandbox:
        monkeypatch.setattr(discord.http.Route, "BASE", sandbox.api_url)
        sandbox.faults.answer(r"GET .*/users/@me$", 429, times=2, retry_after_s=0.01)
        client = discord.Client(intents=discord.Intents(guilds=True), http_trace=scraped.metrics.discord_trace())
        await client.login(sandbox.bot_token)
        await client.close()

    assert (await scraped.values())["gallop_discord_rate_limits_total"] == 2


async def test_no_label_holds_an_id(scraped: Scraped) -> None:
    job = await open_in(scraped.store, JobState.RUNNING)
    scraped.metrics.gateway_answered("hiapi", call="read", error=None)
    scraped.metrics.video_stored("hiapi", seconds=1)

    labels = {name for family in await scraped.families() for sample in family.samples for name in sample.labels}
    text = (await scraped.figures.text()).decode()

    assert labels == {"gateway", "state", "delivery", "call", "outcome", "reason", "le", "version"}
    assert [value for value in (job.job_id, f"g-{job.job_id}", job.request.prompt) if value in text] == []
