"""HiAPI's wire contract: HappyHorse 1.1 from text, one image, or reference images.

Fields: the model page of happyhorse-1.1/reference-to-video and docs.hiapi.ai/async-api (create, detail), read
2026-11-20. Samples written to them are in tests/adapters/samples/hiapi/.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import httpx
from pydantic import SecretStr

from bot.adapters.gateways.download import Resolve, addresses_of
from bot.adapters.gateways.http import (
    Answer,
    Wire,
    as_list,
    as_object,
    path_part,
    read_base,
    read_callback_id,
    read_decimal,
    read_id,
    read_time,
)
from bot.adapters.gateways.refusals import job_refusal, names_a_job, refused, refused_picture, words
from bot.domain.errors import GatewayUnavailable, SubmissionUnconfirmed
from bot.domain.job import Attempt
from bot.domain.ports import Accepted, Progress, Reading, Submission
from bot.domain.pricing import Capabilities, Idempotency, ModeCapability, PriceRow
from bot.domain.prompt import render_tokens
from bot.domain.request import RATIO_DEFAULT, Mode, PictureRules, Resolution

NAME = "hiapi"
BASE_URL = "https://api.hiapi.ai"
HOSTS = ("*.hiapi.ai", "*.aliyuncs.com")
# The page glues them into "16:99:163:44:34:55:41:19:2121:9": nine values.
RATIOS = ("16:9", "9:16", "3:4", "4:3", "4:5", "5:4", "1:1", "9:21", "21:9")
REFUSAL_STATUSES = frozenset({400, 401, 402, 403, 415, 429, 503})

_MISMATCH = "idempotency_key_mismatch"
# The signing page's tolerance, for clocks that differ and callbacks that were under way.
_STAMP_AGE_MAX_S = 300
_STAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_FINISHED = frozenset({"success", "succeeded"})
_FAILED = frozenset({"fail", "failed"})


def _modes() -> dict[Mode, ModeCapability]:
    return {
        Mode.TEXT: ModeCapability(model="happyhorse-1.1/text-to-video", ratios=RATIOS),
        Mode.IMAGE: ModeCapability(
            model="happyhorse-1.1/image-to-video",
            ratios=(),
            pictures=PictureRules(count_min=1, count_max=1, short_side_min_px=300, bytes_max=20_000_000),
        ),
        Mode.REFERENCE: ModeCapability(
            model="happyhorse-1.1/reference-to-video",
            ratios=RATIOS,
            pictures=PictureRules(count_min=1, count_max=9, short_side_min_px=400, bytes_max=20_000_000),
        ),
    }


class HiApi:
    """The gateway HiAPI. It publishes no prices: a resolution without a row in `prices` is unpriced."""

    def __init__(
        self,
        *,
        key: SecretStr | None,
        base_url: str = BASE_URL,
        prices: Mapping[Resolution, PriceRow] | None = None,
        requests_per_min: int = 45,
        task_life_s: float = 86_400,
        signing_key: SecretStr | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve = addresses_of,
    ) -> None:
        self._signing_key = signing_key
        self._wire = Wire(
            gateway=NAME,
            base=read_base(base_url, prefix="/v1"),
            key=key,
            hosts=HOSTS,
            read_timeout_s=60,
            transport=transport,
            resolve=resolve,
        )
        self.capabilities = Capabilities(
            gateway=NAME,
            title="HiAPI",
            model_title="HappyHorse 1.1",
            modes=_modes(),
            prices=prices or {},
            configured=self._wire.has_key,
            idempotency=Idempotency.REPLAY,
            callback_field="callback",
            task_life_s=task_life_s,
            requests_per_min=requests_per_min,
            refusal_statuses=REFUSAL_STATUSES,
        )

    def body(self, submission: Submission) -> bytes:
        request = submission.request
        mode = self.capabilities.modes[request.mode]
        values: dict[str, object] = {"prompt": render_tokens(request.prompt, mode.picture_token)}
        if request.mode is Mode.IMAGE:
            values["image_urls"] = list(submission.addresses[:1])
        elif request.mode is Mode.REFERENCE:
            values["reference_image"] = list(submission.addresses)
        values["resolution"] = request.resolution.value
        if mode.ratios:
            values["aspect_ratio"] = request.ratio or RATIO_DEFAULT
        values["duration"] = request.duration_s
        body: dict[str, object] = {"model": mode.model, "input": values}
        if submission.callback_address:
            body["callback"] = {"url": submission.callback_address, "when": "final"}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    async def submit(self, attempt: Attempt) -> Accepted:
        headers = {"Idempotency-Key": attempt.idempotency_key}
        answer = await self._wire.post_paid("/tasks", attempt.body, headers=headers)
        payload = answer.payload() or {}
        data = as_object(payload.get("data"))
        gateway_job_id = read_id(data.get("taskId"), data.get("task_id"), payload.get("taskId"))
        if httpx.codes.is_success(answer.status) and gateway_job_id and read_decimal(payload.get("code", 200)) == 200:
            return Accepted(gateway_job_id)
        if answer.status in REFUSAL_STATUSES and _is_envelope(payload, answer) and not names_a_job(payload):
            raise refused(NAME, answer.status, words(payload), sent=attempt.body, retry_after_s=answer.retry_after_s)
        raise _unconfirmed(answer, payload)

    async def read(self, gateway_job_id: str) -> Reading:
        payload = await self._wire.get(f"/tasks/{path_part(gateway_job_id)}")
        data = as_object(payload.get("data"))
        if read_decimal(payload.get("code")) != 200 or "status" not in data:
            raise GatewayUnavailable(NAME, "an answer without a job")
        progress = _progress(data.get("status"))
        if progress is Progress.FINISHED:
            video = _video(data.get("output"))
            address = video.get("url")
            return Reading(
                progress,
                video_address=address if isinstance(address, str) and address else None,
                video_until=read_time(video.get("expireAt")),
            )
        text = words(data.get("error"))
        return Reading(progress, refusal=job_refusal(text), refused_picture=refused_picture(text))

    async def fetch(self, address: str, target: Path) -> None:
        await self._wire.fetch(address, target)

    def is_genuine(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
        """Without a signing key HiAPI sends no signature, and every callback counts as genuine."""
        key = self._signing_key.get_secret_value().encode() if self._signing_key else b""
        if not key:
            return True
        given = {name.lower(): value for name, value in headers.items()}
        stamp, signature = given.get("x-hiapi-timestamp", ""), given.get("x-hiapi-signature", "").lower()
        if not _STAMP.fullmatch(stamp) or not _SIGNATURE.fullmatch(signature):
            return False
        expected = hmac.new(key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, signature) and abs(now.timestamp() - int(stamp)) <= _STAMP_AGE_MAX_S

    def callback_job_id(self, body: bytes) -> str | None:
        return read_callback_id(body, "taskId", "task_id")

    async def aclose(self) -> None:
        await self._wire.aclose()


def _unconfirmed(answer: Answer, payload: dict[str, object]) -> SubmissionUnconfirmed:
    """A replay's two own answers: 409, the first POST is still being worked on; 422, it came with other bytes."""
    return SubmissionUnconfirmed(
        NAME,
        f"status {answer.status} without a certain answer",
        retry_after_s=answer.retry_after_s if answer.status == httpx.codes.CONFLICT else None,
        mismatch=answer.status == httpx.codes.UNPROCESSABLE_ENTITY and _MISMATCH in words(payload),
    )


def _is_envelope(payload: dict[str, object], answer: Answer) -> bool:
    """Recognise HiAPI's own two envelopes: the documented one, whose code repeats the status, and that of its blog."""
    if isinstance(payload.get("error"), dict):
        error = as_object(payload["error"])
        return isinstance(error.get("message"), str) and ("code" in error or "type" in error)
    repeated = read_decimal(payload.get("code")) == answer.status
    return repeated and isinstance(payload.get("message"), str) and not payload.get("data")


def _progress(status: object) -> Progress:
    word = str(status).lower()
    if word in _FINISHED:
        return Progress.FINISHED
    return Progress.FAILED if word in _FAILED else Progress.RUNNING


def _video(output: object) -> dict[str, object]:
    """Pick the video among several kinds of output (a first frame may come before it); empty when there is none."""
    entries = [as_object(entry) for entry in as_list(output)]
    return next((entry for entry in entries if str(entry.get("type")).lower() == "video"), {})
