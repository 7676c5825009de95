"""The sandbox's gateways refuse what the real ones are documented to refuse, and keep the books."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from bot.sandbox.gateways.books import Stand
from tests.adapters.gateway_stage import MP4, Stage, picture, stage

pytestmark = pytest.mark.wire

SHORT = {
    "model": "alibaba/happyhorse-1.0/text-to-video",
    "args": {"prompt": "A fox", "resolution": "720P", "ratio": "16:9", "duration": 5},
}
HI = {
    "model": "happyhorse-1.1/text-to-video",
    "input": {"prompt": "A fox", "resolution": "720p", "aspect_ratio": "16:9", "duration": 5},
}
DOJO = {"prompt": "A fox", "resolution": "720p", "aspectRatio": "16:9", "duration": 5}
PATHS = {
    "shortapi": "/api/v1/job/create",
    "hiapi": "/v1/tasks",
    "pixeldojo": "/api/v1/models/happyhorse-1.0-r2v/run",
}


@pytest.fixture
async def running() -> AsyncIterator[Stage]:
    async with stage() as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(
    client: aiohttp.ClientSession, stand: Stand, body: object, *, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    all_headers = {"Authorization": f"Bearer {stand.key}", "Content-Type": "application/json"} | (headers or {})
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client.post(stand.base_url + PATHS[stand.name], data=data, headers=all_headers) as response:
        return response.status, await response.json() | {"headers": dict(response.headers)}


async def get(client: aiohttp.ClientSession, stand: Stand, path: str) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {stand.key}"}
    async with client.get(stand.base_url + path, headers=headers) as response:
        return response.status, await response.json()


def merged(body: dict[str, Any], inner: str, changes: dict[str, Any]) -> dict[str, Any]:
    values = {key: value for key, value in (body[inner] | changes).items() if value is not ...}
    return body | {inner: values}


@pytest.mark.parametrize(
    "changes",
    [
        {"resolution": "720p"},
        {"resolution": "720"},
        {"ratio": "21:9"},
        {"duration": 2},
        {"duration": 16},
        {"duration": "5"},
        {"duration": True},
        {"duration": 5.0},
        {"prompt": ""},
        {"prompt": ...},
        {"seed": 1},
        {"images": ["https://a.example/1"]},
    ],
)
async def test_shortapi_refuses_with_a_code_in_a_200(
    running: Stage, client: aiohttp.ClientSession, changes: dict[str, Any]
) -> None:
    status, answer = await post(client, running.sandbox.shortapi, merged(SHORT, "args", changes))

    assert (status, answer["code"] != 0, running.sandbox.shortapi.jobs) == (200, True, {})


@pytest.mark.parametrize(
    "body",
    [
        SHORT | {"callback_url": "CALLBACK_URL"},
        SHORT | {"callback": {"url": "https://a.example"}},
        SHORT | {"model": "alibaba/happyhorse-1.1/text-to-video"},
        {"model": SHORT["model"]},
        b"not json",
        [],
    ],
)
async def test_shortapi_refuses_a_wrong_frame(running: Stage, client: aiohttp.ClientSession, body: object) -> None:
    _, answer = await post(client, running.sandbox.shortapi, body)

    assert answer["code"] != 0


@pytest.mark.parametrize(
    "changes",
    [
        {"resolution": "720P"},
        {"ratio": "16:9"},
        {"audio": True},
        {"seed": 1},
        {"aspect_ratio": "2:1"},
        {"duration": 2},
        {"callback": {"url": "https://a.example", "when": "final"}},
        {"reference_images": ["https://a.example/1"]},
    ],
)
async def test_hiapi_refuses_unknown_and_miscased_fields_with_400(
    running: Stage, client: aiohttp.ClientSession, changes: dict[str, Any]
) -> None:
    status, answer = await post(client, running.sandbox.hiapi, merged(HI, "input", changes))

    assert (status, answer["code"], answer["error_code"], answer["data"]) == (400, 400, "INVALID_REQUEST", None)


async def test_hiapi_takes_a_list_of_exactly_one_first_frame(running: Stage, client: aiohttp.ClientSession) -> None:
    def body(value: object) -> object:
        values = {"image_urls": value, "resolution": "720p", "duration": 5}
        return {"model": "happyhorse-1.1/image-to-video", "input": values}

    found = [
        (await post(client, running.sandbox.hiapi, body(value)))[0]
        for value in ("https://a.example/1", [], ["https://a.example/1"] * 2, ["nonsense"], ["https://a.example/1"])
    ]

    assert found == [400, 400, 400, 400, 200]


async def test_hiapi_needs_json_as_content_type(running: Stage, client: aiohttp.ClientSession) -> None:
    status, _ = await post(client, running.sandbox.hiapi, HI, headers={"Content-Type": "text/plain"})

    assert status == 415


@pytest.mark.parametrize(
    "changes",
    [
        {"aspect_ratio": "16:9"},
        {"resolution": "720P"},
        {"duration": 1},
        {"reference_urls": []},
        {"reference_urls": ...},
        {"reference_urls": ["https://a.example/1"] * 10},
        {"aspectRatio": "21:9"},
        {"seed": "1"},
    ],
)
async def test_pixeldojo_takes_no_other_properties_than_its_own(
    running: Stage, client: aiohttp.ClientSession, changes: dict[str, Any]
) -> None:
    body = DOJO | {"reference_urls": ["https://a.example/1"]} | changes
    body = {key: value for key, value in body.items() if value is not ...}

    status, answer = await post(client, running.sandbox.pixeldojo, body)

    assert (status, answer["error"]["code"]) == (400, "invalid_request")


async def test_a_wrong_key_is_refused_in_each_envelope(running: Stage, client: aiohttp.ClientSession) -> None:
    wrong = {"Authorization": "Bearer wrong"}

    short = await post(client, running.sandbox.shortapi, SHORT, headers=wrong)
    hi = await post(client, running.sandbox.hiapi, HI, headers=wrong)
    dojo = await post(client, running.sandbox.pixeldojo, DOJO, headers=wrong)

    assert [status for status, _ in (short, hi, dojo)] == [401, 401, 401]
    assert short[1]["code"] != 0
    assert hi[1]["error"]["type"] == "hiapi_error"
    assert dojo[1]["error"]["code"] == "invalid_api_key"


async def test_the_books_hold_every_paid_post_and_what_it_cost(running: Stage, client: aiohttp.ClientSession) -> None:
    await post(client, running.sandbox.shortapi, merged(SHORT, "args", {"duration": 15, "resolution": ...}))
    await post(client, running.sandbox.hiapi, HI)

    short, hi = (next(iter(stand.jobs.values())) for stand in (running.sandbox.shortapi, running.sandbox.hiapi))
    assert (short.billed, hi.billed) == (Decimal("3.435"), Decimal("0.695"))
    assert json.loads(running.sandbox.shortapi.submissions[0].body)["args"]["duration"] == 15
    assert running.sandbox.hiapi.submissions[0].headers["content-type"] == "application/json"


async def test_the_same_idempotency_key_gives_the_same_job_and_never_another_body(
    running: Stage, client: aiohttp.ClientSession
) -> None:
    key = {"Idempotency-Key": "k-1"}

    first = await post(client, running.sandbox.hiapi, HI, headers=key)
    again = await post(client, running.sandbox.hiapi, HI, headers=key)
    other = await post(client, running.sandbox.hiapi, merged(HI, "input", {"duration": 6}), headers=key)
    fresh = await post(client, running.sandbox.hiapi, HI, headers={"Idempotency-Key": "k-2"})

    assert again[1]["data"] == first[1]["data"] != fresh[1]["data"]
    assert again[1]["headers"]["Idempotent-Replay"] == "true"
    assert (other[0], other[1]["error_code"]) == (422, "IDEMPOTENCY_KEY_MISMATCH")
    assert len(running.sandbox.hiapi.jobs) == 2


async def test_a_refused_submission_does_not_use_up_its_idempotency_key(
    running: Stage, client: aiohttp.ClientSession
) -> None:
    key = {"Idempotency-Key": "k-1"}

    refused = await post(client, running.sandbox.hiapi, merged(HI, "input", {"audio": True}), headers=key)
    accepted = await post(client, running.sandbox.hiapi, HI, headers=key)

    assert (refused[0], accepted[0]) == (400, 200)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (picture(399, 700), "400"),
        (picture(400, 1001), "ratio"),
        (picture(800, 600, "BMP"), "readable"),
        (b"<html></html>", "readable"),
        (b"", "readable"),
        (picture()[:300], "readable"),
        (picture() + bytes(10_000_001), "10 MB"),
        (None, "downloaded"),
    ],
    ids=["small", "elongated", "bmp", "html", "empty", "truncated", "large", "missing"],
)
async def test_pictures_are_fetched_and_judged_by_the_documented_rules(
    running: Stage, client: aiohttp.ClientSession, content: bytes | None, word: str
) -> None:
    if content is not None:
        running.files["bad"] = content
    body = DOJO | {"reference_urls": [f"{running.address}/files/good.jpg", f"{running.address}/files/bad"]}

    status, answer = await post(client, running.sandbox.pixeldojo, body)
    job = await running.ended("pixeldojo")

    assert (status, answer["jobId"]) == (202, job.gateway_job_id)
    assert word in job.error
    assert "image 2" in job.error
    assert job.billed == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_the_documented_formats_are_taken(running: Stage, client: aiohttp.ClientSession, kind: str) -> None:
    running.files["p"] = picture(400, 1000, kind)
    body = {
        "model": "alibaba/happyhorse-1.0/image-to-video",
        "args": {"prompt": "A fox", "image": f"{running.address}/files/p", "resolution": "720P", "duration": 5},
    }

    await post(client, running.sandbox.shortapi, body)
    job = await running.ended("shortapi")

    assert job.error == ""
    assert running.render.asked[0]["size"] == (720, 1800)


async def test_the_image_page_shows_its_video_under_images(running: Stage, client: aiohttp.ClientSession) -> None:
    args = {"prompt": "A fox", "image": f"{running.address}/files/good.jpg"}
    await post(client, running.sandbox.shortapi, {"model": "alibaba/happyhorse-1.0/image-to-video", "args": args})
    job = await running.ended("shortapi")

    _, answer = await get(client, running.sandbox.shortapi, f"/api/v1/job/query?id={job.gateway_job_id}")

    assert set(answer["data"]["result"]) == {"images"}
    assert job.billed == Decimal("0.229") * 5


async def test_hiapi_lists_its_tasks_newest_first_and_puts_the_first_frame_before_the_video(
    running: Stage, client: aiohttp.ClientSession
) -> None:
    for _ in range(3):
        await post(client, running.sandbox.hiapi, HI)
    job = await running.ended("hiapi")

    _, page = await get(client, running.sandbox.hiapi, "/v1/tasks?page=1&size=2")
    _, task = await get(client, running.sandbox.hiapi, f"/v1/tasks/{job.gateway_job_id}")

    assert [entry["taskId"] for entry in page["data"]["tasks"]] == list(running.sandbox.hiapi.jobs)[:0:-1]
    assert [entry["type"] for entry in task["data"]["output"]] == ["first_frame", "video"]
    async with client.get(task["data"]["output"][0]["url"]) as response:
        assert (response.status, response.content_type) == (200, "image/jpeg")


async def test_the_model_page_is_public_and_strict(running: Stage, client: aiohttp.ClientSession) -> None:
    address = f"{running.sandbox.pixeldojo.base_url}/api/v1/models/happyhorse-1.0-r2v"

    async with client.get(address) as response:
        schema = (await response.json())["requestSchema"]

    assert schema["additionalProperties"] is False
    assert "aspectRatio" in schema["properties"]
    assert schema["required"] == ["prompt", "reference_urls"]


async def test_media_understands_ranges_and_refuses_a_changed_signature(
    running: Stage, client: aiohttp.ClientSession
) -> None:
    await post(client, running.sandbox.hiapi, HI)
    job = await running.ended("hiapi")
    _, task = await get(client, running.sandbox.hiapi, f"/v1/tasks/{job.gateway_job_id}")
    address = task["data"]["output"][1]["url"]

    async with client.get(address, headers={"Range": "bytes=4-11"}) as response:
        assert (response.status, response.content_type, await response.read()) == (206, "video/mp4", MP4[4:12])
    for changed in (address[:-1] + "z", address.replace("ex=1", "ex=2"), address.split("?")[0]):
        async with client.get(changed) as response:
            assert response.status == 403
