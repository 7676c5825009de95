"""The same contract over loopback: each adapter against the strict emulator of its gateway."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain.errors import (
    GatewayUnavailable,
    Refusal,
    SubmissionRefused,
    SubmissionUnconfirmed,
    VideoUnusable,
)
from bot.domain.ports import Accepted, Progress
from bot.domain.request import Mode, Resolution
from bot.sandbox.gateways.faults import JobFault, MediaFault, ReadFault, Refused, SubmitFault
from bot.sandbox.gateways.server import RequestLimits
from tests.adapters.gateway_cases import CASES, any_attempt, attempt_for, request_for, submission_for
from tests.adapters.gateway_stage import MP4, NAMES, Stage, picture, stage

pytestmark = pytest.mark.wire

MODES = [(name, mode) for name in ("shortapi", "hiapi") for mode in Mode] + [("pixeldojo", Mode.REFERENCE)]
COUNTS = {Mode.TEXT: 0, Mode.IMAGE: 1, Mode.REFERENCE: 9}
names = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
async def running() -> AsyncIterator[Stage]:
    async with stage() as opened:
        yield opened


def lying(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def submit(
    running: Stage, name: str, mode: Mode = Mode.REFERENCE, *, resolution: Resolution = Resolution.P720
) -> Accepted:
    gateway = running.gateway(name)
    request = request_for(gateway, mode, resolution=resolution)
    addresses = running.picture_addresses(COUNTS[mode])
    accepted: Accepted = await gateway.submit(attempt_for(gateway, submission_for(request, addresses=addresses)))
    return accepted


@pytest.mark.parametrize("resolution", list(Resolution))
@pytest.mark.parametrize(("name", "mode"), MODES)
async def test_every_model_makes_a_video_at_its_strict_gateway(
    running: Stage, name: str, mode: Mode, resolution: Resolution, tmp_path: Path
) -> None:
    gateway = running.gateway(name)

    accepted = await submit(running, name, mode, resolution=resolution)
    job = await running.ended(name)
    reading = await gateway.read(accepted.gateway_job_id)
    await gateway.fetch(reading.video_address, tmp_path / "v.mp4")

    assert job.gateway_job_id == accepted.gateway_job_id
    assert job.error == ""
    assert reading.progress is Progress.FINISHED
    assert (tmp_path / "v.mp4").read_bytes() == MP4
    assert running.render.asked[0]["pictures"] == COUNTS[mode]
    assert min(running.render.asked[0]["size"]) == (720 if resolution is Resolution.P720 else 1080)
    assert len(running.stand(name).submissions) == 1


@pytest.mark.parametrize(("name", "billed_microusd"), [("shortapi", 645_000), ("hiapi", None), ("pixeldojo", 400_000)])
async def test_what_is_billed_is_what_stands_in_the_books(
    running: Stage, name: str, billed_microusd: int | None
) -> None:
    accepted = await submit(running, name)
    await running.ended(name)

    reading = await running.gateway(name).read(accepted.gateway_job_id)

    assert (accepted.billed_microusd, reading.billed_microusd) == (billed_microusd, billed_microusd)


@pytest.mark.parametrize(("name", "until"), [("shortapi", False), ("hiapi", True), ("pixeldojo", True)])
async def test_the_end_of_the_address_is_known_where_the_gateway_tells_it(
    running: Stage, name: str, until: bool
) -> None:
    accepted = await submit(running, name)
    await running.ended(name)

    reading = await running.gateway(name).read(accepted.gateway_job_id)

    assert (reading.video_until is not None) is until


@names
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Refused.KEY, Refusal.KEY),
        (Refused.CREDIT, Refusal.CREDIT),
        (Refused.BUSY, Refusal.BUSY),
        (Refused.CONTENT, Refusal.CONTENT),
        (Refused.MODEL, Refusal.MODEL),
    ],
)
async def test_an_honest_refusal_is_understood(running: Stage, name: str, kind: Refused, reason: Refusal) -> None:
    running.stand(name).faults.submit.append(kind)

    with pytest.raises(SubmissionRefused) as caught:
        await submit(running, name)

    assert caught.value.reason is reason
    assert running.stand(name).jobs == {}


@names
@pytest.mark.parametrize(
    "fault",
    [
        SubmitFault.DROP_UNREAD,
        SubmitFault.ACCEPT_THEN_DROP,
        SubmitFault.ACCEPT_THEN_500,
        SubmitFault.ACCEPT_THEN_HTML,
        SubmitFault.ACCEPT_WITHOUT_ID,
        SubmitFault.ACCEPT_BUT_SAY_REFUSED,
    ],
)
async def test_whatever_may_have_started_a_job_is_unconfirmed(running: Stage, name: str, fault: SubmitFault) -> None:
    running.stand(name).faults.submit.append(fault)

    with pytest.raises(SubmissionUnconfirmed):
        await submit(running, name)

    assert len(running.stand(name).jobs) == (0 if fault is SubmitFault.DROP_UNREAD else 1)
    assert len(running.stand(name).submissions) == (0 if fault is SubmitFault.DROP_UNREAD else 1)


@names
async def test_no_connection_is_a_certain_refusal(name: str) -> None:
    # The port is free again as soon as the probe is closed.
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    gateway = {case.name: case for case in CASES}[name].build(base_url=f"http://127.0.0.1:{port}")

    with pytest.raises(SubmissionRefused) as caught:
        await gateway.submit(any_attempt(gateway))
    await gateway.aclose()

    assert caught.value.reason is Refusal.CONNECTION


@names
@pytest.mark.parametrize(
    "fault", [ReadFault.SERVER_ERROR, ReadFault.NOT_FOUND, ReadFault.ENVELOPE_ERROR, ReadFault.HTML]
)
async def test_a_spoiled_read_is_followed_by_a_good_one(running: Stage, name: str, fault: ReadFault) -> None:
    accepted = await submit(running, name)
    await running.ended(name)
    running.stand(name).faults.read.append(fault)

    with pytest.raises(GatewayUnavailable):
        await running.gateway(name).read(accepted.gateway_job_id)
    reading = await running.gateway(name).read(accepted.gateway_job_id)

    assert reading.progress is Progress.FINISHED


@names
@pytest.mark.parametrize(
    ("fault", "progress"),
    [(ReadFault.UNKNOWN_STATUS, Progress.RUNNING), (ReadFault.NO_ADDRESS, Progress.FINISHED)],
)
async def test_an_odd_read_is_taken_for_what_it_says(
    running: Stage, name: str, fault: ReadFault, progress: Progress
) -> None:
    accepted = await submit(running, name)
    await running.ended(name)
    running.stand(name).faults.read.append(fault)

    reading = await running.gateway(name).read(accepted.gateway_job_id)

    assert (reading.progress, reading.video_address) == (progress, None)


@names
@pytest.mark.parametrize("fault", [JobFault.FAILS_CONTENT, JobFault.FAILS_REFUNDED])
async def test_a_failing_job_says_what_it_was_about(running: Stage, name: str, fault: JobFault) -> None:
    running.stand(name).faults.job.append(fault)
    accepted = await submit(running, name)
    await running.ended(name)

    reading = await running.gateway(name).read(accepted.gateway_job_id)

    assert (reading.progress, reading.refusal) == (Progress.FAILED, Refusal.CONTENT)
    if name == "shortapi":
        assert reading.refunded is (fault is JobFault.FAILS_REFUNDED)
        assert reading.billed_microusd == (0 if reading.refunded else 645_000)


@names
async def test_a_bad_picture_fails_the_job_by_its_number(running: Stage, name: str) -> None:
    running.files["small.jpg"] = picture(399, 600)
    gateway = running.gateway(name)
    addresses = (*running.picture_addresses(1), f"{running.address}/files/small.jpg")
    accepted = await gateway.submit(attempt_for(gateway, submission_for(request_for(gateway), addresses=addresses)))
    await running.ended(name)

    reading = await gateway.read(accepted.gateway_job_id)

    assert (reading.progress, reading.refusal, reading.refused_picture) == (Progress.FAILED, Refusal.PICTURE, 2)


@names
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (MediaFault.EXPIRED, GatewayUnavailable),
        (MediaFault.TRUNCATED, GatewayUnavailable),
        (MediaFault.HTML, VideoUnusable),
        (MediaFault.EMPTY, VideoUnusable),
        (MediaFault.REDIRECT, VideoUnusable),
    ],
)
async def test_a_spoiled_download_leaves_nothing_and_works_the_next_time(
    running: Stage, name: str, fault: MediaFault, error: type[Exception], tmp_path: Path
) -> None:
    gateway = running.gateway(name)
    accepted = await submit(running, name)
    await running.ended(name)
    reading = await gateway.read(accepted.gateway_job_id)
    running.stand(name).faults.media.append(fault)

    with pytest.raises(error):
        await gateway.fetch(reading.video_address, tmp_path / "v.mp4")
    left = lying(tmp_path)
    await gateway.fetch(reading.video_address, tmp_path / "v.mp4")

    assert left == []
    assert (tmp_path / "v.mp4").read_bytes() == MP4


@names
async def test_a_gateway_that_is_asked_too_often_is_busy_not_broken(name: str) -> None:
    async with stage(limits=RequestLimits(1, 1, 1)) as running:
        await submit(running, name)
        with pytest.raises(SubmissionRefused) as caught:
            await submit(running, name)

    assert caught.value.reason is Refusal.BUSY
    assert caught.value.retry_after_s is not None
    assert 0 < caught.value.retry_after_s <= 60


async def test_the_public_model_page_confirms_the_ratio_key(running: Stage) -> None:
    before = running.pixeldojo.body(submission_for(request_for(running.pixeldojo)))

    await running.pixeldojo.prepare()

    assert b'"aspectRatio"' in running.pixeldojo.body(submission_for(request_for(running.pixeldojo)))
    assert before == running.pixeldojo.body(submission_for(request_for(running.pixeldojo)))


async def test_hiapis_replay_returns_the_first_job_and_starts_no_second(running: Stage) -> None:
    gateway = running.hiapi
    running.sandbox.hiapi.faults.submit.append(SubmitFault.ACCEPT_THEN_DROP)
    submission = submission_for(request_for(gateway), addresses=running.picture_addresses(2))
    attempt = attempt_for(gateway, submission)

    with pytest.raises(SubmissionUnconfirmed):
        await gateway.submit(attempt)
    accepted = await gateway.submit(attempt)

    assert list(running.sandbox.hiapi.jobs) == [accepted.gateway_job_id]
    assert len(running.sandbox.hiapi.submissions) == 2
