"""PixelDojo's own traps."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest

from bot.adapters.gateways.pixeldojo import PixelDojo
from bot.domain.errors import Refusal, SubmissionRefused, SubmissionUnconfirmed
from bot.domain.ports import Progress, Reading
from bot.domain.request import Mode
from tests.adapters.gateway_cases import any_attempt, pixeldojo, request_for, sample, sample_body, submission_for


def ratio_keys(gateway: PixelDojo) -> set[str]:
    body = json.loads(gateway.body(submission_for(request_for(gateway))))
    return {"aspectRatio", "aspect_ratio"} & set(body)


async def read(**changes: object) -> Reading:
    body = sample_body("pixeldojo", "finished") | changes
    gateway = pixeldojo(lambda _: httpx.Response(200, json=body))
    try:
        return await gateway.read("job_abc123")
    finally:
        await gateway.aclose()


def test_the_ratio_is_aspect_ratio_in_camel_case_as_the_table_says() -> None:
    assert ratio_keys(pixeldojo()) == {"aspectRatio"}


@pytest.mark.parametrize(
    ("properties", "key"),
    [
        ({"aspect_ratio": {}}, "aspect_ratio"),
        ({"aspectRatio": {}}, "aspectRatio"),
        ({"aspectRatio": {}, "aspect_ratio": {}}, "aspectRatio"),
        ({}, "aspectRatio"),
    ],
)
async def test_the_public_model_page_decides_the_ratio_key(properties: object, key: str) -> None:
    body = sample_body("pixeldojo", "model")
    body["requestSchema"]["properties"] = properties
    gateway = pixeldojo(lambda _: httpx.Response(200, json=body))

    await gateway.prepare()
    await gateway.aclose()

    assert ratio_keys(gateway) == {key}


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_a_model_page_that_cannot_be_read_changes_nothing(status: int) -> None:
    answers = [sample("pixeldojo", "model"), httpx.Response(status), httpx.Response(200, json={"requestSchema": 7})]
    gateway = pixeldojo(lambda _: answers.pop(0))

    keys = []
    for _ in range(3):
        await gateway.prepare()
        keys.append(ratio_keys(gateway))
    await gateway.aclose()

    assert keys == [{"aspect_ratio"}] * 3


async def test_the_model_page_is_asked_without_the_key() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return sample("pixeldojo", "model")

    gateway = pixeldojo(handler)
    await gateway.prepare()
    await gateway.aclose()

    assert str(seen[0].url) == "https://pixeldojo.ai/api/v1/models/happyhorse-1.0-r2v"
    assert "Authorization" not in seen[0].headers


def test_the_body_has_seed_and_negative_prompt_only_when_given() -> None:
    gateway = pixeldojo()
    plain = request_for(gateway, prompt="[Image 1] runs")
    full = request_for(gateway, seed=0, negative_prompt="rain")

    assert json.loads(gateway.body(submission_for(plain))) == {
        "prompt": "[Image 1] runs",
        "reference_urls": ["https://cdn.example/0.jpg", "https://cdn.example/1.jpg"],
        "duration": 5,
        "resolution": "720p",
        "aspectRatio": "9:16",
    }
    body = json.loads(gateway.body(submission_for(full, callback="https://b.example/c")))
    assert (body["seed"], body["negative_prompt"], body["webhook_url"]) == (0, "rain", "https://b.example/c")


async def test_the_model_stands_in_the_path() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return sample("pixeldojo", "created")

    gateway = pixeldojo(handler)
    await gateway.submit(any_attempt(gateway))
    await gateway.aclose()

    assert seen[0].url.path == "/api/v1/models/happyhorse-1.0-r2v/run"


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"code": "insufficient_credits", "message": "no", "status": 403}},
        {"error": "insufficient credits"},
        {"message": "insufficient credits"},
    ],
)
async def test_an_error_may_be_text_or_an_object(error: object) -> None:
    gateway = pixeldojo(lambda _: httpx.Response(403, json=error))

    with pytest.raises(SubmissionRefused) as caught:
        await gateway.submit(any_attempt(gateway))
    await gateway.aclose()

    assert caught.value.reason is Refusal.CREDIT


async def test_an_accepted_job_beside_an_error_is_unconfirmed() -> None:
    gateway = pixeldojo(lambda _: httpx.Response(202, json=sample_body("pixeldojo", "created") | {"error": "odd"}))

    with pytest.raises(SubmissionUnconfirmed):
        await gateway.submit(any_attempt(gateway))
    await gateway.aclose()


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({"output": {"video": "https://t.example/v"}}, "https://t.example/v"),
        ({"output": {"videos": ["https://t.example/v"]}}, "https://t.example/v"),
        ({"output": {"videos": [{"url": "https://t.example/v"}]}}, "https://t.example/v"),
        ({"output": None, "assets": [{"url": "https://t.example/v"}]}, "https://t.example/v"),
        (
            {"output": {}, "assets": [{"url": "https://t.example/f.jpg"}, {"url": "https://t.example/v.mp4"}]},
            "https://t.example/v.mp4",
        ),
        ({"output": {"files": ["https://t.example/f.jpg", "https://t.example/v.MP4?x"]}}, "https://t.example/v.MP4?x"),
        ({"output": {"image": "https://t.example/f.jpg"}}, None),
        ({"output": "https://t.example/v.mp4"}, "https://t.example/v.mp4"),
        ({"output": {"video": ""}}, None),
    ],
)
async def test_the_video_is_found_in_output_or_assets(changes: dict[str, object], address: str | None) -> None:
    reading = await read(**changes)

    assert (reading.progress, reading.video_address) == (Progress.FINISHED, address)


async def test_the_address_dies_when_expires_at_says() -> None:
    assert (await read()).video_until == datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("credits", "credit_usd", "billed_microusd"),
    [
        (20, Decimal("0.02"), 400_000),
        (20.5, Decimal("0.02"), 410_000),
        ("20", Decimal("0.02"), 400_000),
        (1, Decimal("0.0000001"), 1),
        (20, None, None),
        (None, Decimal("0.02"), None),
        ("many", Decimal("0.02"), None),
    ],
)
async def test_billed_is_credits_times_their_price(
    credits: object, credit_usd: Decimal | None, billed_microusd: int | None
) -> None:
    body = sample_body("pixeldojo", "created") | {"creditCost": credits}
    gateway = pixeldojo(lambda _: httpx.Response(202, json=body), credit_usd=credit_usd)

    accepted = await gateway.submit(any_attempt(gateway))
    await gateway.aclose()

    assert accepted.billed_microusd == billed_microusd


def test_it_only_makes_videos_from_references() -> None:
    modes = pixeldojo().capabilities.modes

    assert set(modes) == {Mode.REFERENCE}
    assert modes[Mode.REFERENCE].seed
    assert modes[Mode.REFERENCE].negative_prompt
