"""One contract suite for the three adapters, against samples in the documented shapes."""

import json
from typing import Any

import httpx
import pytest

from bot.domain.errors import (
    GatewayError,
    GatewayUnavailable,
    Refusal,
    SubmissionRefused,
    SubmissionUnconfirmed,
)
from bot.domain.ports import Progress
from tests.adapters.gateway_cases import (
    CASES,
    KEY,
    KINDS,
    SAMPLES,
    Case,
    any_attempt,
    sample,
    sample_body,
)

HTML = httpx.Response(502, text="<html><body>nginx</body></html>", headers={"Content-Type": "text/html"})

HTTPX_ERRORS = sorted(
    (
        found
        for found in vars(httpx).values()
        if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, Warning)
    ),
    key=lambda found: found.__name__,
)
NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "InvalidURL"}

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
httpx_errors = pytest.mark.parametrize("error", HTTPX_ERRORS, ids=lambda error: error.__name__)


def raised(error: type[Exception]) -> Exception:
    """An httpx exception of that class, whatever its constructor asks for."""
    request = httpx.Request("POST", "https://secret.example/?key=hidden")
    if error is httpx.HTTPStatusError:
        return httpx.HTTPStatusError("hidden", request=request, response=httpx.Response(500))
    if error in {httpx.StreamConsumed, httpx.StreamClosed, httpx.ResponseNotRead, httpx.RequestNotRead}:
        return error()
    return error("hidden https://secret.example/?key=hidden")


def answering(case: Case, *answers: httpx.Response | Exception) -> tuple[Any, list[httpx.Request]]:
    """The adapter over a network that gives these answers, and the requests it saw."""
    seen: list[httpx.Request] = []
    queue = list(answers)

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = queue.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return case.build(handler), seen


async def submit_error(case: Case, answer: httpx.Response | Exception) -> GatewayError:
    gateway, seen = answering(case, answer)
    with pytest.raises(GatewayError) as caught:
        await gateway.submit(any_attempt(gateway))
    await gateway.aclose()
    assert len(seen) == 1, "a paid POST is sent once"
    return caught.value


@cases
@pytest.mark.parametrize("kind", KINDS)
def test_every_gateway_has_every_sample(case: Case, kind: str) -> None:
    assert (SAMPLES / case.name / f"{kind}.json").is_file()


@cases
async def test_an_accepted_submission_gives_the_gateway_job_id_and_the_bill(case: Case) -> None:
    gateway, seen = answering(case, sample(case.name, "created"))
    attempt = any_attempt(gateway)

    accepted = await gateway.submit(attempt)
    await gateway.aclose()

    assert (accepted.gateway_job_id, accepted.billed_microusd) == (case.job_id, case.billed_microusd)
    assert seen[0].content == attempt.body
    assert seen[0].headers["Authorization"] == f"Bearer {KEY.get_secret_value()}"
    assert seen[0].headers["Content-Type"] == "application/json"
    assert seen[0].headers["Connection"] == "close"
    assert str(seen[0].url).startswith(case.prefix)


@cases
async def test_reads_follow_a_job_to_its_video(case: Case) -> None:
    gateway, seen = answering(case, sample(case.name, "running"), sample(case.name, "finished"))

    running, finished = await gateway.read(case.job_id), await gateway.read(case.job_id)
    await gateway.aclose()

    assert (running.progress, running.video_address) == (Progress.RUNNING, None)
    assert (finished.progress, finished.video_address) == (Progress.FINISHED, case.video)
    assert finished.billed_microusd == case.billed_microusd
    assert all(request.method == "GET" and case.job_id in str(request.url) for request in seen)


@cases
async def test_a_documented_failure_fails_the_job_and_says_what_it_was_about(case: Case) -> None:
    gateway, _ = answering(case, sample(case.name, "failed"))

    reading = await gateway.read(case.job_id)
    await gateway.aclose()

    assert (reading.progress, reading.refusal) == (Progress.FAILED, Refusal.CONTENT)


@cases
async def test_a_refusal_in_the_gateways_envelope_is_certain(case: Case) -> None:
    error = await submit_error(case, sample(case.name, "refused"))

    assert isinstance(error, SubmissionRefused)
    assert error.reason is Refusal.CREDIT


@cases
@pytest.mark.parametrize("status", [200, *range(400, 432), 451, 499, *range(500, 506), 520, 524, 529])
async def test_only_the_documented_statuses_refuse_for_certain(case: Case, status: int) -> None:
    body = sample_body(case.name, "refused")
    if case.name == "hiapi":
        body["code"] = status

    error = await submit_error(case, httpx.Response(status, json=body))

    assert isinstance(error, SubmissionRefused if status in case.certain else SubmissionUnconfirmed)


@cases
@pytest.mark.parametrize("kind", ["created", "refused"])
async def test_a_refusal_that_names_a_job_is_not_believed(case: Case, kind: str) -> None:
    body = sample_body(case.name, kind)
    if kind == "refused":
        body["details"] = {"taskId": "1", "job_id": "1"}

    assert isinstance(await submit_error(case, httpx.Response(402, json=body)), SubmissionUnconfirmed)


@cases
@pytest.mark.parametrize("status", [200, 202, 302, 400, 402, 404, 429, 500, 503])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>error</html>",
        b"[]",
        b"null",
        b"{}",
        b'{"ok": true}',
        b'{"code": 0, "data": ',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"data": {"job_id": "", "taskId": null}, "jobId": ""}',
    ],
    ids=["empty", "html", "list", "null", "object", "other", "half", "bytes", "deep", "blank-id"],
)
async def test_an_answer_that_cannot_be_read_or_has_no_id_is_unconfirmed(
    case: Case, status: int, content: bytes
) -> None:
    error = await submit_error(case, httpx.Response(status, content=content))

    assert isinstance(error, SubmissionUnconfirmed)


@cases
async def test_a_redirected_paid_post_is_not_followed(case: Case) -> None:
    answer = httpx.Response(307, headers={"Location": "https://elsewhere.example/"})

    assert isinstance(await submit_error(case, answer), SubmissionUnconfirmed)


@cases
@httpx_errors
async def test_every_httpx_error_of_a_paid_post_means_one_thing(case: Case, error: type[Exception]) -> None:
    found = await submit_error(case, raised(error))

    assert isinstance(found, SubmissionRefused if error.__name__ in NOT_SENT else SubmissionUnconfirmed)
    assert found.detail == error.__name__
    assert not isinstance(found, SubmissionRefused) or found.reason is Refusal.CONNECTION


@cases
@httpx_errors
async def test_every_httpx_error_of_a_read_says_nothing_about_the_job(case: Case, error: type[Exception]) -> None:
    gateway, _ = answering(case, raised(error))

    with pytest.raises(GatewayUnavailable) as caught:
        await gateway.read(case.job_id)
    await gateway.aclose()

    assert caught.value.detail == error.__name__


@cases
@pytest.mark.parametrize("error", [OSError("tls broke"), TimeoutError()])
async def test_what_leaks_through_httpx_is_unconfirmed_too(case: Case, error: OSError) -> None:
    assert isinstance(await submit_error(case, error), SubmissionUnconfirmed)


@cases
@pytest.mark.parametrize("status", [204, 302, 400, 401, 403, 404, 408, 429, 500, 502, 503])
@pytest.mark.parametrize("kind", ["failed", "finished", "refused"])
async def test_a_failed_read_is_never_a_verdict(case: Case, status: int, kind: str) -> None:
    gateway, _ = answering(case, httpx.Response(status, json=sample_body(case.name, kind)))

    with pytest.raises(GatewayUnavailable):
        await gateway.read(case.job_id)
    await gateway.aclose()


@cases
@pytest.mark.parametrize("kind", ["html", "refused", "list", "empty object"])
async def test_an_error_envelope_with_status_200_is_no_verdict(case: Case, kind: str) -> None:
    answers = {
        "html": httpx.Response(200, text="<html></html>"),
        "refused": httpx.Response(200, json=sample_body(case.name, "refused")),
        "list": httpx.Response(200, json=[]),
        "empty object": httpx.Response(200, json={}),
    }
    gateway, _ = answering(case, answers[kind])

    with pytest.raises(GatewayUnavailable):
        await gateway.read(case.job_id)
    await gateway.aclose()


def with_status(case: Case, kind: str, status: object) -> httpx.Response:
    body = sample_body(case.name, kind)
    body.get("data", body)["status"] = status
    return httpx.Response(200, json=body)


@cases
@pytest.mark.parametrize("status", ["pondering", "canceled", "cancelled", "expired", "UNKNOWN", "timeout"])
async def test_an_unknown_status_means_still_running(case: Case, status: str) -> None:
    gateway, _ = answering(case, with_status(case, "running", status))

    reading = await gateway.read(case.job_id)
    await gateway.aclose()

    assert reading.progress is Progress.RUNNING


@cases
@pytest.mark.parametrize("upper", [False, True])
async def test_words_are_understood_in_any_case(case: Case, upper: bool) -> None:
    word = {"shortapi": "succeeded", "hiapi": "success", "pixeldojo": "completed"}[case.name]
    gateway, _ = answering(case, with_status(case, "finished", word.upper() if upper else word))

    reading = await gateway.read(case.job_id)
    await gateway.aclose()

    assert (reading.progress, reading.video_address) == (Progress.FINISHED, case.video)


@cases
async def test_success_without_an_address_is_finished_without_one(case: Case) -> None:
    body = sample_body(case.name, "finished")
    holder = body.get("data", body)
    for key in ("result", "output"):
        holder.pop(key, None)
    gateway, _ = answering(case, httpx.Response(200, json=body))

    reading = await gateway.read(case.job_id)
    await gateway.aclose()

    assert (reading.progress, reading.video_address) == (Progress.FINISHED, None)


@cases
async def test_without_a_key_the_gateway_is_not_configured_and_sends_nothing(case: Case) -> None:
    gateway = case.build(lambda _: pytest.fail("nothing may be sent"), key=None)

    with pytest.raises(SubmissionRefused) as caught:
        await gateway.submit(any_attempt(gateway))
    await gateway.aclose()

    assert not gateway.capabilities.configured
    assert caught.value.reason is Refusal.KEY
    assert case.build().capabilities.configured


@cases
@pytest.mark.parametrize("path", ["", "/", "/prefix", "/prefix/"])
@pytest.mark.parametrize("root", ["https://proxy.example", "http://127.0.0.1:8080", "https://proxy.example/deep"])
async def test_the_address_may_be_given_with_or_without_its_path_prefix(case: Case, path: str, root: str) -> None:
    prefix = httpx.URL(case.prefix).path.rstrip("/")
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return sample(case.name, "running")

    gateway = case.build(handler, base_url=root + path.replace("/prefix", prefix))
    await gateway.read(case.job_id)
    await gateway.aclose()

    assert seen[0].startswith(f"{root}{prefix}/")
    assert seen[0].count(prefix) == 1


@cases
@pytest.mark.parametrize("key", ["sk-with\nbreak", "schlüssel", "sk-\x00"])
def test_a_key_that_cannot_be_a_header_is_refused_in_one_sentence(case: Case, key: str) -> None:
    with pytest.raises(ValueError, match="the key holds characters that no key has") as caught:
        case.build(key=type(KEY)(key))

    assert key not in str(caught.value)


@cases
async def test_nothing_of_a_gateways_words_gets_into_an_error(case: Case) -> None:
    body = json.loads(json.dumps(sample_body(case.name, "refused")).replace("balance", "balance tell-tale"))
    body["message"] = body["info"] = "insufficient balance tell-tale https://secret.example/?sig=1"

    error = await submit_error(case, httpx.Response(402, json=body))

    shown = f"{error} {error!r} {error.detail}"
    assert "tell-tale" not in shown
    assert "secret.example" not in shown
    assert KEY.get_secret_value() not in shown


@cases
@pytest.mark.parametrize(
    ("after", "expected_s"),
    [("7", 7.0), ("900", 900.0), ("90000", 3_600.0), ("-3", None), ("soon", None), (None, None)],
)
async def test_a_busy_gateway_says_when_to_come_back(case: Case, after: str | None, expected_s: float | None) -> None:
    body = sample_body(case.name, "refused")
    if case.name == "hiapi":
        body["code"] = 429
    headers = {"Retry-After": after} if after else {}

    error = await submit_error(case, httpx.Response(429, json=body, headers=headers))

    assert isinstance(error, SubmissionRefused)
    assert (error.reason, error.retry_after_s) == (Refusal.BUSY, expected_s)
