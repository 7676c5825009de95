"""The three gateways as one row each of the contract suite: how to build the adapter, and its samples."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from bot.adapters.gateways.hiapi import HiApi
from bot.adapters.gateways.pixeldojo import PixelDojo
from bot.adapters.gateways.shortapi import ShortApi
from bot.domain.job import Attempt
from bot.domain.ports import Gateway, Submission
from bot.domain.pricing import PriceRow
from bot.domain.request import Image, Mode, Resolution, VideoRequest

SAMPLES = Path(__file__).parent / "samples"
KEY = SecretStr("sk-a-key-nobody-may-see")
KINDS = ("created", "running", "finished", "failed", "refused")
Handler = Callable[[httpx.Request], httpx.Response]


def sample(gateway: str, kind: str) -> httpx.Response:
    """A written sample as an answer. Samples are shaped as documented; no gateway was asked for them."""
    found = json.loads((SAMPLES / gateway / f"{kind}.json").read_text())
    return httpx.Response(found["status"], json=found["body"])


def sample_body(gateway: str, kind: str) -> dict[str, Any]:
    found = json.loads((SAMPLES / gateway / f"{kind}.json").read_text())
    body: dict[str, Any] = found["body"]
    return body


def shortapi(handler: Handler | None = None, **options: Any) -> ShortApi:
    return ShortApi(**_options(handler, options))


def hiapi(handler: Handler | None = None, **options: Any) -> HiApi:
    return HiApi(**{"prices": {Resolution.P720: PriceRow(second_microusd=139_000)}} | _options(handler, options))


def pixeldojo(handler: Handler | None = None, **options: Any) -> PixelDojo:
    prices = {Resolution.P720: PriceRow(flat_microusd=400_000, second_microusd=80_000)}
    defaults: dict[str, Any] = {"prices": prices, "credit_usd": Decimal("0.02")}
    return PixelDojo(**defaults | _options(handler, options))


def _options(handler: Handler | None, options: dict[str, Any]) -> dict[str, Any]:
    transport = {"transport": httpx.MockTransport(handler)} if handler else {}
    return {"key": KEY} | transport | options


@dataclass(frozen=True)
class Case:
    """One gateway of the contract suite. `certain` are statuses that refuse for certain, with the sample's envelope."""

    name: str
    build: Callable[..., Gateway]
    job_id: str
    video: str
    certain: frozenset[int]
    billed_microusd: int | None
    prefix: str


CASES = (
    Case(
        "shortapi",
        shortapi,
        "69cac2e5b066fa83d0420890",
        "https://file.shortapi.ai/tmp/20261120/69cac2e5b066fa83d0420890/video.mp4",
        frozenset({200, *range(400, 500)} - {408}),
        645_000,
        "https://api.shortapi.ai/api/v1/",
    ),
    Case(
        "hiapi",
        hiapi,
        "tk-hiapi-01HZTQ8BX2N3GM3YFK4Z9D7VQR",
        "https://cdn.hiapi.ai/tasks/01HZ/video.mp4",
        frozenset({400, 401, 402, 403, 415, 429, 503}),
        None,
        "https://api.hiapi.ai/v1/",
    ),
    Case(
        "pixeldojo",
        pixeldojo,
        "job_abc123",
        "https://temp.pixeldojo.ai/pixeldojotemp/1705930123-456789.mp4",
        frozenset({400, 401, 402, 403, 404, 422, 429}),
        400_000,
        "https://pixeldojo.ai/api/v1/",
    ),
)


def request_for(
    gateway: Gateway, mode: Mode = Mode.REFERENCE, *, resolution: Resolution = Resolution.P720, **changes: Any
) -> VideoRequest:
    """A request that the mode takes, with every option given."""
    ratios = gateway.capabilities.modes[mode].ratios
    base = VideoRequest(
        mode=mode,
        prompt="The fox of [Image 1] jumps" if mode is not Mode.TEXT else "A fox jumps",
        resolution=resolution,
        ratio="9:16" if ratios else None,
        duration_s=5,
        gateway=gateway.capabilities.gateway,
        pinned=True,
        price_microusd=1,
    )
    return replace(base, **changes)


def submission_for(
    request: VideoRequest, *, addresses: tuple[str, ...] | None = None, callback: str | None = None
) -> Submission:
    count = {Mode.TEXT: 0, Mode.IMAGE: 1, Mode.REFERENCE: 2}[request.mode]
    given = tuple(f"https://cdn.example/{number}.jpg" for number in range(count)) if addresses is None else addresses
    images = tuple(Image(f"{number}.jpg", "image/jpeg", 800, 600, 1000) for number in range(len(given)))
    return Submission(request, images, given, callback)


def attempt_for(gateway: Gateway, submission: Submission, *, key: str = "job-1-1") -> Attempt:
    return Attempt(
        job_id="job-1",
        number=1,
        gateway=gateway.capabilities.gateway,
        model=gateway.capabilities.modes[submission.request.mode].model,
        body=gateway.body(submission),
        idempotency_key=key,
        callback_token="token",
        submitted_at=datetime(2026, 11, 20, tzinfo=UTC),
        price_microusd=submission.request.price_microusd,
    )


def any_attempt(gateway: Gateway) -> Attempt:
    return attempt_for(gateway, submission_for(request_for(gateway)))
