"""What each adapter makes of a callback: the job id it names, and whether it is genuine."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from bot.adapters.gateways.animatic import Animatic
from bot.adapters.gateways.hiapi import HiApi
from tests.adapters.gateway_cases import CASES, Case, hiapi, sample_body
from tests.fakes import FakeLibrary

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = "a-signing-key-of-sixteen"
BODY = b'{"taskId": "tk-hiapi-1",  "status":"success"}'

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def named(case: Case, body: Any) -> str | None:
    return case.build().callback_job_id(body if isinstance(body, bytes) else json.dumps(body).encode())


@cases
@pytest.mark.parametrize("kind", ["running", "finished", "failed"])
def test_the_bare_job_object_names_its_job(case: Case, kind: str) -> None:
    body = sample_body(case.name, kind)
    job = body.get("data", body)
    key = {"shortapi": "id", "hiapi": "taskId", "pixeldojo": "jobId"}[case.name]

    assert named(case, job) == job[key]


@pytest.mark.parametrize(
    ("name", "bodies"),
    [
        ("shortapi", [{"id": "a1"}, {"job_id": "a1"}, {"data": {"job_id": "a1"}}, {"data": {"id": "a1"}}]),
        (
            "shortapi",
            [
                {"id": "event-7", "job_id": "a1"},
                {"id": "event-7", "data": {"job_id": "a1"}},
                {"id": "", "data": {"id": "a1"}},
            ],
        ),
        ("hiapi", [{"taskId": "a1"}, {"task_id": "a1"}, {"data": {"taskId": "a1"}}, {"data": {"task_id": "a1"}}]),
        ("pixeldojo", [{"jobId": "a1"}, {"job_id": "a1"}, {"data": {"jobId": "a1"}}, {"job": {"job_id": "a1"}}]),
    ],
)
def test_the_id_is_found_in_every_shape_that_was_seen(name: str, bodies: list[Any]) -> None:
    case = next(case for case in CASES if case.name == name)

    assert [named(case, body) for body in bodies] == ["a1"] * len(bodies)


@cases
@pytest.mark.parametrize(
    "value",
    [None, "", True, 1.5, [], {}, "x" * 201, "a b", "a\nb", "a\u0000", ".", "..", {"id": "1"}],
    ids=repr,
)
def test_what_is_no_id_names_nothing(case: Case, value: object) -> None:
    keys = ("id", "job_id", "jobId", "taskId", "task_id")

    assert named(case, {**dict.fromkeys(keys, value), "data": dict.fromkeys(keys, value)}) is None


@cases
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"7",
        b"[]",
        b'"tk-1"',
        b"{",
        b"\xff\xfe",
        b"<html></html>",
        b"[" * 60_000,
        b'{"data":' * 8_000,
        b'{"id":' + b"9" * 60_000 + b"}",
        b'{"taskId":"\\ud800","id":"\\ud800","jobId":"\\ud800"}',
        b'{"data": [{"id": "1"}], "job": "1"}',
    ],
    ids=lambda body: body[:12],
)
def test_garbage_names_nothing_and_breaks_nothing(case: Case, body: bytes) -> None:
    assert named(case, body) is None


@pytest.mark.parametrize("name", ["shortapi", "pixeldojo", "hiapi"])
def test_without_a_signature_to_check_every_callback_is_genuine(name: str) -> None:
    case = next(case for case in CASES if case.name == name)

    assert case.build().is_genuine({}, BODY, now=NOW)
    assert case.build().is_genuine({"X-HiAPI-Signature": "0"}, b"", now=NOW)


def test_the_animatic_calls_nobody_back(tmp_path: Any) -> None:
    animatic = Animatic(folder=tmp_path, library=FakeLibrary(tmp_path))

    assert animatic.is_genuine({}, BODY, now=NOW)
    assert animatic.callback_job_id(BODY) is None


def signing() -> HiApi:
    return hiapi(signing_key=SecretStr(KEY))


def signed(body: bytes = BODY, *, key: str = KEY, at: datetime = NOW, **changes: str) -> dict[str, str]:
    """The headers HiAPI documents: hex(HMAC_SHA256(key, timestamp + "." + raw body))."""
    stamp = str(int(at.timestamp()))
    signature = hmac.new(key.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-HiAPI-Timestamp": stamp, "X-HiAPI-Signature": signature} | changes


def test_hiapis_documented_signature_is_genuine() -> None:
    assert signing().is_genuine(signed(), BODY, now=NOW)


def test_a_signature_computed_by_another_program_is_genuine() -> None:
    """``printf '%s' '1763640000.{"taskId":"t"}' | openssl dgst -sha256 -hmac 'a-signing-key-of-sixteen'``"""
    stamp, body = "1763640000", b'{"taskId":"t"}'
    headers = {
        "X-HiAPI-Timestamp": stamp,
        "X-HiAPI-Signature": "59b5a27cc58e6fbfa3bc85e779ec123b93d05a593603322abc48ebd7d3e34f19",
    }

    assert signing().is_genuine(headers, body, now=datetime.fromtimestamp(int(stamp), UTC))


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({name.lower(): value for name, value in signed().items()}, BODY),
        (signed() | {"X-HiAPI-Signature": signed()["X-HiAPI-Signature"].upper()}, BODY),
        (signed(b""), b""),
        (signed(b"\xff\x00\n"), b"\xff\x00\n"),
    ],
    ids=["lower-case names", "upper-case hex", "no body", "any bytes"],
)
def test_the_ways_of_writing_a_right_signature(headers: dict[str, str], body: bytes) -> None:
    assert signing().is_genuine(headers, body, now=NOW)


@pytest.mark.parametrize(("age_s", "genuine"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)])
def test_a_signature_holds_for_five_minutes_either_way(age_s: int, genuine: bool) -> None:
    assert signing().is_genuine(signed(), BODY, now=NOW + timedelta(seconds=age_s)) is genuine


@pytest.mark.parametrize(
    "body",
    [BODY + b"\n", BODY[:-1], json.dumps(json.loads(BODY)).encode(), BODY.replace(b"success", b"Success"), b""],
    ids=["a byte more", "a byte less", "written anew", "a letter changed", "empty"],
)
def test_the_signature_covers_the_raw_bytes(body: bytes) -> None:
    assert not signing().is_genuine(signed(), body, now=NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-HiAPI-Timestamp": signed()["X-HiAPI-Timestamp"]},
        {"X-HiAPI-Signature": signed()["X-HiAPI-Signature"]},
        signed(key="another-signing-key"),
        signed(key=""),
        signed() | {"X-HiAPI-Timestamp": str(int(NOW.timestamp()) + 1)},
        signed() | {"X-HiAPI-Timestamp": f" {int(NOW.timestamp())}"},
        signed() | {"X-HiAPI-Timestamp": f"{int(NOW.timestamp())}.0"},
        signed() | {"X-HiAPI-Timestamp": "1" * 400},
        signed() | {"X-HiAPI-Timestamp": "-1"},
        signed() | {"X-HiAPI-Timestamp": "١٢٣"},
        signed() | {"X-HiAPI-Timestamp": "soon"},
        signed() | {"X-HiAPI-Signature": ""},
        signed() | {"X-HiAPI-Signature": signed()["X-HiAPI-Signature"][:-1]},
        signed() | {"X-HiAPI-Signature": f"sha256={signed()['X-HiAPI-Signature']}"},
        signed() | {"X-HiAPI-Signature": "é" * 64},
        signed() | {"X-HiAPI-Signature": "\udcff" * 64},
        signed() | {"X-HiAPI-Signature": "0" * 64},
    ],
)
def test_a_missing_wrong_or_malformed_signature_is_not_genuine(headers: dict[str, str]) -> None:
    assert not signing().is_genuine(headers, BODY, now=NOW)


@pytest.mark.parametrize("stamp", ["", "soon", "1e9", "-1", "1.5", " 1", "9" * 400, "١٢٣", "\udcff"], ids=ascii)
def test_a_malformed_timestamp_is_not_genuine_though_it_is_signed(stamp: str) -> None:
    message = stamp.encode("utf-8", "surrogateescape") + b"." + BODY
    signature = hmac.new(KEY.encode(), message, hashlib.sha256).hexdigest()
    headers = {"X-HiAPI-Timestamp": stamp, "X-HiAPI-Signature": signature}

    assert not signing().is_genuine(headers, BODY, now=NOW)


def test_an_empty_signing_key_is_none() -> None:
    assert hiapi(signing_key=SecretStr("")).is_genuine({}, BODY, now=NOW)


def test_the_signing_key_is_not_shown() -> None:
    assert KEY not in repr(vars(signing()))
