"""The figures of /metrics: what happened since the start, what is true now, and both as Prometheus reads them."""

import asyncio
import logging
from collections.abc import Collection, Iterator
from types import SimpleNamespace
from typing import Final, Protocol

import aiohttp
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily

from bot.domain.breakers import Breakers, BreakerState
from bot.domain.errors import (
    GatewayError,
    GatewayUnavailable,
    StoreFailed,
    SubmissionRefused,
    SubmissionUnconfirmed,
    VideoUnusable,
)
from bot.domain.job import Delivery, JobState
from bot.domain.ports import Library
from bot.domain.store import Counts

log = logging.getLogger(__name__)

_VIDEO_S = (15, 30, 45, 60, 90, 120, 180, 300, 600, 1_200, 3_600, 14_400)
_DELIVERY_S = (0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 300, 600, 3_600)
_QUICK_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5)
_OUTCOMES: Final = {
    SubmissionRefused: "refused",
    SubmissionUnconfirmed: "unconfirmed",
    GatewayUnavailable: "unavailable",
    VideoUnusable: "unusable",
}
_BREAKER_VALUES: Final = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
_STORE_TIMEOUT_S = 5.0


class Metrics:
    """What happened since the start; the Measures of bot.domain.ports. Labels hold only our own words, never an id."""

    def __init__(self, *, version: str) -> None:
        self.registry = registry = CollectorRegistry()
        self._videos = Histogram(
            "gallop_time_to_video_seconds",
            "From the command to the video in the library.",
            ["gateway"],
            buckets=_VIDEO_S,
            registry=registry,
        )
        self._deliveries = Histogram(
            "gallop_delivery_lag_seconds",
            "From the video in the library to the video in its channel.",
            buckets=_DELIVERY_S,
            registry=registry,
        )
        self._ledger = Histogram(
            "gallop_ledger_seconds",
            "From asking for a write to its being durable.",
            buckets=_QUICK_S,
            registry=registry,
        )
        self._lateness = Histogram(
            "gallop_loop_lag_seconds",
            "How late the event loop was, measured each second.",
            buckets=_QUICK_S,
            registry=registry,
        )
        self._answers = Counter(
            "gallop_gateway_answers",
            "Answers of gateways, or their absence; the reason is that of a refusal or of an unavailable gateway.",
            ["gateway", "call", "outcome", "reason"],
            registry=registry,
        )
        self._rate_limits = Counter("gallop_discord_rate_limits", "Answers 429 of Discord.", registry=registry)
        self._scrape_errors = Counter(
            "gallop_scrape_errors", "Scrapes that had to leave figures out.", registry=registry
        )
        build = GaugeMetricFamily("gallop_build_info", "The version that runs.", labels=["version"])
        build.add_metric([version], 1)
        registry.register(_Fixed(build))

    def video_stored(self, gateway: str, *, seconds: float) -> None:
        self._videos.labels(gateway).observe(seconds)

    def video_posted(self, *, seconds: float) -> None:
        self._deliveries.observe(seconds)

    def ledger_took(self, seconds: float) -> None:
        self._ledger.observe(seconds)

    def loop_was_late(self, seconds: float) -> None:
        self._lateness.observe(seconds)

    def gateway_answered(self, gateway: str, *, call: str, error: GatewayError | None) -> None:
        """Count one answer; a MeasuredGateway tells of it."""
        outcome = "ok" if error is None else _OUTCOMES.get(type(error), "other")
        reason = error.reason.value if isinstance(error, SubmissionRefused | GatewayUnavailable) else "none"
        self._answers.labels(gateway, call, outcome, reason).inc()

    def figures_left_out(self) -> None:
        self._scrape_errors.inc()

    def discord_trace(self) -> aiohttp.TraceConfig:
        """Return what counts Discord's 429s, for the `http_trace` of discord.py's client."""

        async def ended(_: aiohttp.ClientSession, __: SimpleNamespace, told: aiohttp.TraceRequestEndParams) -> None:
            if told.response.status == 429:
                self._rate_limits.inc()

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(ended)
        return trace


class _Fixed:
    """A collector of figures that are there already."""

    def __init__(self, *metrics: Metric) -> None:
        self._metrics = metrics

    def collect(self) -> tuple[Metric, ...]:
        return self._metrics


class CountsJobs(Protocol):
    """The part of the store that knows how many there are."""

    async def counts(self) -> Counts: ...


class Figures:
    """Everything that /metrics shows."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        store: CountsJobs,
        library: Library,
        breakers: Breakers,
        gateways: Collection[str],
        store_timeout_s: float = _STORE_TIMEOUT_S,
    ) -> None:
        self._metrics = metrics
        self._store = store
        self._library = library
        self._breakers = breakers
        self._gateways = gateways
        self._store_timeout_s = store_timeout_s

    async def text(self) -> bytes:
        """Return all figures in Prometheus' text format. What cannot be read now is left out, and that is counted."""
        now = [*await self._of_store(), *await self._of_disk(), self._of_breakers()]
        return generate_latest(_Fixed(*now, *self._metrics.registry.collect()))

    async def _of_store(self) -> list[Metric]:
        try:
            async with asyncio.timeout(self._store_timeout_s):
                counts = await self._store.counts()
        except (StoreFailed, TimeoutError) as error:
            return self._left_out("store", error)
        return list(_of_counts(counts, self._gateways))

    async def _of_disk(self) -> list[Metric]:
        try:
            free_bytes = await self._library.free_bytes()
        except OSError as error:
            return self._left_out("disk", error)
        return [GaugeMetricFamily("gallop_disk_free_bytes", "Room left for pictures and videos.", value=free_bytes)]

    def _left_out(self, part: str, error: Exception) -> list[Metric]:
        log.warning("figures left out part=%s error=%s", part, type(error).__name__)
        self._metrics.figures_left_out()
        return []

    def _of_breakers(self) -> Metric:
        family = GaugeMetricFamily(
            "gallop_breaker_state", "0 closed, 1 half open (one submission finds out), 2 open.", labels=["gateway"]
        )
        for gateway in self._gateways:
            family.add_metric([gateway], _BREAKER_VALUES[self._breakers.state(gateway)])
        return family


def _of_counts(counts: Counts, gateways: Collection[str]) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("gallop_jobs", "Jobs by state and gateway.", labels=["state", "gateway"])
    zeros = {(state, gateway): 0 for state in JobState for gateway in gateways}
    for (state, gateway), count in {**zeros, **counts.jobs}.items():
        jobs.add_metric([state.value, gateway], count)
    yield jobs
    deliveries = GaugeMetricFamily("gallop_deliveries", "Jobs by where their video stands.", labels=["delivery"])
    for delivery in Delivery:
        deliveries.add_metric([delivery.value], counts.deliveries.get(delivery, 0))
    yield deliveries
    yield GaugeMetricFamily("gallop_open_holds", "Holds that are neither settled nor released.", value=counts.holds)
    dollars = counts.on_hold_microusd / 1_000_000
    yield GaugeMetricFamily("gallop_on_hold_dollars", "What those holds set aside.", value=dollars)
    unconfirmed = sum(count for (state, _), count in counts.jobs.items() if state is JobState.UNCONFIRMED)
    yield GaugeMetricFamily("gallop_unconfirmed_jobs", "Jobs that a gateway may or may not have.", value=unconfirmed)
