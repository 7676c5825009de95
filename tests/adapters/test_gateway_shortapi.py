"""ShortAPI's own traps."""

import json
from typing import Any

import httpx
import pytest

from bot.domain.errors import SubmissionRefused, SubmissionUnconfirmed
from bot.domain.ports import Progress, Reading
from bot.domain.request import Mode, Resolution
from tests.adapters.gateway_cases import any_attempt, request_for, sample_body, shortapi, submission_for


async def submit(status: int, body: object) -> str:
    gateway = shortapi(lambda _: httpx.Response(status, json=body))
    try:
        return (await gateway.submit(any_attempt(gateway))).gateway_job_id
    finally:
        await gateway.aclose()


async def read(**changes: Any) -> Reading:
    body = sample_body("shortapi", "finished")
    body["data"] = {key: value for key, value in (body["data"] | changes).items() if value is not ...}
    gateway = shortapi(lambda _: httpx.Response(200, json=body))
    try:
        return await gateway.read("69cac2e5b066fa83d0420890")
    finally:
        await gateway.aclose()


@pytest.mark.parametrize(
    "body",
    [
        {"code": 0, "data": {"job_id": "abc", "amount": "0.02"}},
        {"code": 0, "data": {"id": "abc"}},
        {"code": 0, "job_id": "abc"},
        {"job_id": "abc"},
        {"code": 0, "data": {"job_id": "abc", "amount": ["strange"]}},
    ],
)
async def test_the_job_id_is_found_where_the_page_and_where_its_samples_read_it(body: object) -> None:
    assert await submit(200, body) == "abc"


async def test_an_empty_job_id_as_in_the_page_is_no_job_id() -> None:
    with pytest.raises(SubmissionUnconfirmed):
        await submit(200, {"code": 0, "data": {"amount": "0.02", "job_id": ""}})


@pytest.mark.parametrize(
    "body",
    [{"code": 0, "info": "?"}, {"code": None}, {"code": "bad"}, {"code": True}, {"code": 1.5}, {"info": "no code"}],
)
async def test_only_a_number_other_than_zero_refuses(body: object) -> None:
    with pytest.raises(SubmissionUnconfirmed):
        await submit(200, body)


@pytest.mark.parametrize("code", [1, -1, 4002, 40_000_001, 2**70, "1001", "-1"])
async def test_a_code_of_any_size_and_sign_refuses(code: object) -> None:
    with pytest.raises(SubmissionRefused):
        await submit(200, {"code": code, "info": "no"})


async def test_a_code_that_refuses_beside_a_job_id_is_unconfirmed() -> None:
    with pytest.raises(SubmissionUnconfirmed):
        await submit(200, {"code": 4002, "data": {"id": "abc"}})


@pytest.mark.parametrize("key", ["info", "message", "error", "msg"])
async def test_the_reason_is_found_under_every_key_clients_have_seen(key: str) -> None:
    with pytest.raises(SubmissionRefused) as caught:
        await submit(200, {"code": 5, "data": {key: "output hit moderation"}})

    assert caught.value.reason == "content"


def test_resolution_is_upper_case() -> None:
    gateway = shortapi()

    for resolution, spelled in ((Resolution.P720, "720P"), (Resolution.P1080, "1080P")):
        body = json.loads(gateway.body(submission_for(request_for(gateway, resolution=resolution))))
        assert body["args"]["resolution"] == spelled


def test_reference_mode_lists_images_and_names_them_characters() -> None:
    gateway = shortapi()
    request = request_for(gateway, prompt="[Image 1] and [Image 2] dance", ratio="4:3", duration_s=15)

    body = json.loads(gateway.body(submission_for(request, addresses=("https://a.example/1", "https://a.example/2"))))

    assert body == {
        "model": "alibaba/happyhorse-1.0/reference-to-video",
        "args": {
            "prompt": "character1 and character2 dance",
            "images": ["https://a.example/1", "https://a.example/2"],
            "resolution": "720P",
            "ratio": "4:3",
            "duration": 15,
        },
    }


def test_image_mode_sends_one_address_as_text_and_no_ratio() -> None:
    gateway = shortapi()
    request = request_for(gateway, Mode.IMAGE, prompt="She turns")

    body = json.loads(gateway.body(submission_for(request, addresses=("https://a.example/1",))))

    assert body == {
        "model": "alibaba/happyhorse-1.0/image-to-video",
        "args": {"prompt": "She turns", "image": "https://a.example/1", "resolution": "720P", "duration": 5},
    }


def test_text_mode_sends_no_picture() -> None:
    gateway = shortapi()

    body = json.loads(gateway.body(submission_for(request_for(gateway, Mode.TEXT), callback="https://b.example/c")))

    assert body["model"] == "alibaba/happyhorse-1.0/text-to-video"
    assert set(body["args"]) == {"prompt", "resolution", "ratio", "duration"}
    assert body["callback_url"] == "https://b.example/c"


@pytest.mark.parametrize(
    ("result", "address"),
    [
        ({"videos": [{"url": "https://f.example/v"}]}, "https://f.example/v"),
        ({"images": [{"url": "https://f.example/v.mp4"}]}, "https://f.example/v.mp4"),
        (
            {"images": [{"url": "https://f.example/first.jpg"}], "video_url": "https://f.example/v.mp4"},
            "https://f.example/v.mp4",
        ),
        ({"videos": [], "images": ["https://f.example/v.mp4"]}, "https://f.example/v.mp4"),
        ({"url": "https://f.example/v"}, "https://f.example/v"),
        ({"deep": [{"er": "https://f.example/v.webm?x=1"}]}, "https://f.example/v.webm?x=1"),
        ({"images": [{"url": "https://f.example/first.png"}]}, None),
        ({"videos": [{"url": ""}]}, None),
        ({"videos": [{"url": "file:///etc/passwd"}]}, None),
        ("https://f.example/v.mp4", "https://f.example/v.mp4"),
        (None, None),
    ],
)
async def test_the_video_is_found_under_videos_or_images(result: object, address: str | None) -> None:
    reading = await read(result=result)

    assert (reading.progress, reading.video_address) == (Progress.FINISHED, address)


@pytest.mark.parametrize(
    ("status", "progress"),
    [
        (0, Progress.RUNNING),
        (1, Progress.RUNNING),
        (2, Progress.FINISHED),
        ("2", Progress.FINISHED),
        (3, Progress.FAILED),
        ("3", Progress.FAILED),
        (4, Progress.RUNNING),
        (-1, Progress.RUNNING),
        (True, Progress.RUNNING),
        (None, Progress.RUNNING),
        ([], Progress.RUNNING),
    ],
)
async def test_only_2_and_3_are_verdicts(status: object, progress: Progress) -> None:
    assert (await read(status=status)).progress is progress


@pytest.mark.parametrize("status", [1, 3, 9])
async def test_a_refunded_job_has_failed_whatever_its_status(status: int) -> None:
    reading = await read(status=status, refunded=True, refunded_credit="0.645")

    assert (reading.progress, reading.refunded, reading.billed_microusd) == (Progress.FAILED, True, 0)


@pytest.mark.parametrize(
    ("changes", "billed_microusd"),
    [
        ({}, 645_000),
        ({"credit": ...}, None),
        ({"credit": 0.645}, 645_000),
        ({"credit": "nonsense"}, None),
        ({"status": 3, "refunded_credit": "0.600"}, 45_000),
        ({"status": 3, "refunded": True, "refunded_credit": ...}, None),
        ({"refunded": True, "refunded_credit": "9"}, 0),
    ],
)
async def test_billed_is_the_credit_less_what_was_given_back(
    changes: dict[str, Any], billed_microusd: int | None
) -> None:
    assert (await read(**changes)).billed_microusd == billed_microusd


async def test_a_failed_job_names_its_picture() -> None:
    reading = await read(status=3, result=None, info="image 2 shows a real person's face")

    assert (reading.refusal, reading.refused_picture) == ("face", 2)


def test_prices_are_the_published_ones() -> None:
    capabilities = shortapi().capabilities

    assert capabilities.price_microusd(resolution=Resolution.P720, duration_s=5) == 645_000
    assert capabilities.price_microusd(resolution=Resolution.P1080, duration_s=15) == 3_435_000
