"""HiAPI's own traps."""

import json
from datetime import UTC, datetime

import httpx
import pytest

from bot.domain.errors import Refusal, SubmissionRefused, SubmissionUnconfirmed
from bot.domain.ports import Progress, Reading
from bot.domain.pricing import Idempotency, PriceRow
from bot.domain.request import Mode, Resolution
from tests.adapters.gateway_cases import any_attempt, attempt_for, hiapi, request_for, sample_body, submission_for


async def submit(status: int, body: object) -> str:
    gateway = hiapi(lambda _: httpx.Response(status, json=body))
    try:
        return (await gateway.submit(any_attempt(gateway))).gateway_job_id
    finally:
        await gateway.aclose()


async def read_output(output: object) -> Reading:
    body = sample_body("hiapi", "finished")
    body["data"]["output"] = output
    gateway = hiapi(lambda _: httpx.Response(200, json=body))
    try:
        return await gateway.read("tk-hiapi-1")
    finally:
        await gateway.aclose()


async def test_the_idempotency_key_goes_with_the_stored_bytes() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=sample_body("hiapi", "created"))

    gateway = hiapi(handler)
    attempt = attempt_for(gateway, submission_for(request_for(gateway)), key="job-7-2")
    await gateway.submit(attempt)
    await gateway.aclose()

    assert seen[0].headers["Idempotency-Key"] == "job-7-2"
    assert seen[0].content == attempt.body
    assert gateway.capabilities.idempotency is Idempotency.REPLAY


def test_references_are_a_list_under_a_singular_name() -> None:
    gateway = hiapi()
    request = request_for(gateway, prompt="[Image 1] walks through [Image 2]", ratio="9:21")

    body = json.loads(gateway.body(submission_for(request, callback="https://b.example/c")))

    assert body == {
        "model": "happyhorse-1.1/reference-to-video",
        "input": {
            "prompt": "[Image 1] walks through [Image 2]",
            "reference_image": ["https://cdn.example/0.jpg", "https://cdn.example/1.jpg"],
            "resolution": "720p",
            "aspect_ratio": "9:21",
            "duration": 5,
        },
        "callback": {"url": "https://b.example/c", "when": "final"},
    }


def test_image_mode_sends_a_list_of_one_and_no_ratio() -> None:
    gateway = hiapi()

    body = json.loads(gateway.body(submission_for(request_for(gateway, Mode.IMAGE, prompt="She turns"))))

    assert body["input"] == {
        "prompt": "She turns",
        "image_urls": ["https://cdn.example/0.jpg"],
        "resolution": "720p",
        "duration": 5,
    }


def test_resolution_is_lower_case() -> None:
    gateway = hiapi()

    body = json.loads(gateway.body(submission_for(request_for(gateway, Mode.TEXT, resolution=Resolution.P1080))))

    assert body["input"]["resolution"] == "1080p"
    assert body["model"] == "happyhorse-1.1/text-to-video"


def test_the_glued_ratios_of_the_page_are_nine() -> None:
    ratios = hiapi().capabilities.modes[Mode.REFERENCE].ratios

    assert "".join(ratios) == "16:99:163:44:34:55:41:19:2121:9"
    assert len(ratios) == 9


FIRST_FRAME = {"url": "https://cdn.hiapi.ai/f.mp4", "type": "first_frame"}


@pytest.mark.parametrize(
    ("output", "address"),
    [
        ([FIRST_FRAME, {"url": "https://cdn.hiapi.ai/v.mp4", "type": "video"}], "https://cdn.hiapi.ai/v.mp4"),
        ([FIRST_FRAME, {"url": "https://cdn.hiapi.ai/v.mp4", "type": "Video"}], "https://cdn.hiapi.ai/v.mp4"),
        ([FIRST_FRAME], None),
        ([{"url": "https://cdn.hiapi.ai/v.mp4"}], None),
        ([{"type": "video"}], None),
        ([{"type": "video", "url": {}}], None),
        ([], None),
        ({"url": "x"}, None),
        (None, None),
    ],
)
async def test_the_video_is_chosen_by_its_type_never_by_its_place(output: object, address: str | None) -> None:
    reading = await read_output(output)

    assert (reading.progress, reading.video_address) == (Progress.FINISHED, address)


async def test_the_address_dies_when_expire_at_says() -> None:
    reading = await read_output([{"url": "https://cdn.hiapi.ai/v.mp4", "type": "video", "expireAt": 1777886899}])

    assert reading.video_until == datetime(2026, 5, 4, 9, 28, 19, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"code": 400, "message": "invalid request", "data": None, "error_code": "INVALID_REQUEST"}, Refusal.REQUEST),
        ({"code": 400, "message": "retry shortly", "error_code": "MODEL_UNAVAILABLE"}, Refusal.MODEL),
        (
            {"error": {"code": "invalid", "type": "hiapi_error", "message": "no", "request_id": "req_1"}},
            Refusal.REQUEST,
        ),
        ({"error": {"type": "hiapi_error", "message": "prompt was rejected by moderation"}}, Refusal.CONTENT),
    ],
)
async def test_both_envelopes_refuse_for_certain(body: object, reason: Refusal) -> None:
    with pytest.raises(SubmissionRefused) as caught:
        await submit(400, body)

    assert caught.value.reason is reason


@pytest.mark.parametrize(
    "body",
    [
        {"message": "Forbidden"},
        {"error": "forbidden"},
        {"error": {"message": "half an envelope"}},
        {"code": 200, "message": "success"},
        {"code": 502, "message": "bad gateway"},
        {"code": 403, "message": None},
        {"code": 403, "message": "no", "data": {"something": 1}},
    ],
)
async def test_an_envelope_that_is_not_hiapis_refuses_nothing(body: object) -> None:
    with pytest.raises(SubmissionUnconfirmed):
        await submit(403, body)


async def unconfirmed(status: int, body: object, after: str | None = None) -> SubmissionUnconfirmed:
    headers = {"Retry-After": after} if after else {}
    gateway = hiapi(lambda _: httpx.Response(status, json=body, headers=headers))
    with pytest.raises(SubmissionUnconfirmed) as caught:
        await gateway.submit(any_attempt(gateway))
    await gateway.aclose()
    return caught.value


def idempotency_answer(status: int, code: str) -> dict[str, object]:
    return {"code": status, "message": "no", "data": None, "error_code": code}


@pytest.mark.parametrize(("after", "expected_s"), [("5", 5.0), ("900", 900.0), ("soon", None), (None, None)])
async def test_409_says_when_the_first_post_may_have_its_answer(after: str | None, expected_s: float | None) -> None:
    error = await unconfirmed(409, idempotency_answer(409, "IDEMPOTENCY_KEY_PROCESSING"), after)

    assert (error.retry_after_s, error.mismatch) == (expected_s, False)


@pytest.mark.parametrize(
    "body",
    [
        idempotency_answer(422, "IDEMPOTENCY_KEY_MISMATCH"),
        {"error": {"code": "idempotency_key_mismatch", "type": "hiapi_error", "message": "no"}},
    ],
)
async def test_422_for_other_bytes_under_the_key_is_a_mismatch(body: object) -> None:
    error = await unconfirmed(422, body, "5")

    assert (error.retry_after_s, error.mismatch) == (None, True)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, idempotency_answer(422, "INVALID_REQUEST")),
        (422, None),
        (500, idempotency_answer(500, "IDEMPOTENCY_KEY_MISMATCH")),
        (409, idempotency_answer(409, "IDEMPOTENCY_KEY_MISMATCH")),
    ],
)
async def test_no_other_answer_is_a_mismatch(status: int, body: object) -> None:
    assert not (await unconfirmed(status, body)).mismatch


async def test_a_server_error_says_nothing_of_the_first_post() -> None:
    assert (await unconfirmed(500, None, "5")).retry_after_s is None


async def test_a_200_whose_code_refuses_is_unconfirmed() -> None:
    with pytest.raises(SubmissionUnconfirmed):
        await submit(200, {"code": 402, "message": "insufficient balance", "data": None})


@pytest.mark.parametrize("status", ["queued", "handling", "archiving"])
async def test_the_three_documented_steps_are_running(status: str) -> None:
    body = sample_body("hiapi", "running")
    body["data"]["status"] = status
    gateway = hiapi(lambda _: httpx.Response(200, json=body))

    reading = await gateway.read("tk-hiapi-1")
    await gateway.aclose()

    assert (reading.progress, reading.billed_microusd) == (Progress.RUNNING, None)


def test_a_resolution_without_a_price_is_unpriced() -> None:
    capabilities = hiapi(prices={Resolution.P720: PriceRow(second_microusd=139_124)}).capabilities

    assert capabilities.price_microusd(resolution=Resolution.P720, duration_s=5) == 5 * 139_124
    assert capabilities.price_microusd(resolution=Resolution.P1080, duration_s=5) is None
    assert hiapi(prices=None).capabilities.prices == {}
