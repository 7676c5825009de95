"""ShortAPI's wire contract: HappyHorse 1.0 from text, one image, or reference images.

Fields: https://shortapi.ai/models/alibaba/happyhorse-1.0/{text,image,reference}-to-video/llms.txt, read 2026-11-20; the
job object: one captured from the service. Samples written to them are in tests/adapters/samples/shortapi/.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import httpx
from pydantic import SecretStr

from bot.adapters.gateways.download import Resolve, addresses_of
from bot.adapters.gateways.http import (
    Answer,
    Wire,
    as_list,
    as_object,
    read_base,
    read_callback_id,
    read_decimal,
    read_id,
    read_microusd,
)
from bot.adapters.gateways.refusals import job_refusal, names_a_job, refused, refused_picture, words
from bot.domain.errors import GatewayUnavailable, SubmissionUnconfirmed
from bot.domain.job import Attempt
from bot.domain.money import microusd_from_usd
from bot.domain.ports import Accepted, Progress, Reading, Submission
from bot.domain.pricing import Capabilities, ModeCapability, PriceRow
from bot.domain.prompt import render_tokens
from bot.domain.request import RATIO_DEFAULT, Mode, PictureRules, Resolution

NAME = "shortapi"
BASE_URL = "https://api.shortapi.ai"
HOSTS = ("*.shortapi.ai", "*.aliyuncs.com")
RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4")

# The reference page's own example: "a dance scene between character1 and character2".
_CHARACTER = "character{n}"
_RESOLUTIONS = {Resolution.P720: "720P", Resolution.P1080: "1080P"}
# "succeeded" and "failed" are the words of ShortAPI's own agent skill; its pages say 2.
_FINISHED = frozenset({"2", "succeeded", "success", "completed"})
_FAILED = frozenset({"3", "failed"})
_VIDEO = re.compile(r"^https?://[^?#]+\.(?:mp4|webm|mov)(?:[?#]|$)", re.IGNORECASE)
_PICTURE = re.compile(r"^[^?#]+\.(?:jpe?g|png|webp|gif)(?:[?#]|$)", re.IGNORECASE)


PRICES = {
    Resolution.P720: PriceRow(second_microusd=129_000),
    Resolution.P1080: PriceRow(second_microusd=229_000),
}


def _modes() -> dict[Mode, ModeCapability]:
    family = "alibaba/happyhorse-1.0"
    return {
        Mode.TEXT: ModeCapability(model=f"{family}/text-to-video", ratios=RATIOS),
        Mode.IMAGE: ModeCapability(
            model=f"{family}/image-to-video",
            ratios=(),
            pictures=PictureRules(count_min=1, count_max=1, short_side_min_px=300, bytes_max=10_000_000),
        ),
        Mode.REFERENCE: ModeCapability(
            model=f"{family}/reference-to-video",
            ratios=RATIOS,
            pictures=PictureRules(count_min=1, count_max=9, short_side_min_px=400, bytes_max=10_000_000),
            picture_token=_CHARACTER,
        ),
    }


class ShortApi:
    """The gateway ShortAPI. Without `prices` those of its page count."""

    def __init__(
        self,
        *,
        key: SecretStr | None,
        base_url: str = BASE_URL,
        prices: Mapping[Resolution, PriceRow] | None = None,
        requests_per_min: int = 60,
        task_life_s: float = 86_400,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve = addresses_of,
    ) -> None:
        base = read_base(base_url, prefix="/api/v1")
        self._wire = Wire(gateway=NAME, base=base, key=key, hosts=HOSTS, transport=transport, resolve=resolve)
        self.capabilities = Capabilities(
            gateway=NAME,
            title="ShortAPI",
            model_title="HappyHorse 1.0",
            modes=_modes(),
            prices=PRICES if prices is None else prices,
            configured=self._wire.has_key,
            callback_field="callback_url",
            task_life_s=task_life_s,
            requests_per_min=requests_per_min,
        )

    def body(self, submission: Submission) -> bytes:
        request = submission.request
        mode = self.capabilities.modes[request.mode]
        args: dict[str, object] = {"prompt": render_tokens(request.prompt, mode.picture_token)}
        if request.mode is Mode.IMAGE:
            args["image"] = submission.addresses[0]
        elif request.mode is Mode.REFERENCE:
            args["images"] = list(submission.addresses)
        args["resolution"] = _RESOLUTIONS[request.resolution]
        if mode.ratios:
            args["ratio"] = request.ratio or RATIO_DEFAULT
        args["duration"] = request.duration_s
        body: dict[str, object] = {"model": mode.model, "args": args}
        if submission.callback_address:
            body["callback_url"] = submission.callback_address
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    async def submit(self, attempt: Attempt) -> Accepted:
        answer = await self._wire.post_paid("/job/create", attempt.body)
        payload = answer.payload() or {}
        data = as_object(payload.get("data"))
        gateway_job_id = read_id(data.get("job_id"), data.get("id"), payload.get("job_id"))
        code = _code(payload.get("code", 0 if gateway_job_id else None))
        if httpx.codes.is_success(answer.status) and code == 0 and gateway_job_id:
            return Accepted(gateway_job_id, read_microusd(data.get("amount")))
        if _is_refusal(answer, code) and not gateway_job_id and not names_a_job(payload):
            text = words(payload)
            raise refused(
                NAME,
                answer.status,
                text,
                sent=attempt.body,
                retry_after_s=answer.retry_after_s,
                detail=f"status {answer.status}, code {code}",
            )
        raise SubmissionUnconfirmed(NAME, f"status {answer.status} without a certain answer")

    async def read(self, gateway_job_id: str) -> Reading:
        payload = await self._wire.get("/job/query", params={"id": gateway_job_id})
        data = as_object(payload.get("data"))
        if _code(payload.get("code")) != 0 or "status" not in data:
            raise GatewayUnavailable(NAME, "an answer without a job")
        result = data.get("result")
        text = words(
            data.get("error"), data.get("message"), data.get("info"), result if isinstance(result, str) else ""
        )
        refunded = data.get("refunded") is True
        progress = _progress(data.get("status"), refunded=refunded)
        failed = progress is Progress.FAILED
        return Reading(
            progress,
            video_address=_video_address(result) if progress is Progress.FINISHED else None,
            billed_microusd=_billed_microusd(data, refunded=refunded),
            refunded=refunded,
            refusal=job_refusal(text if failed else ""),
            refused_picture=refused_picture(text) if failed else None,
        )

    async def fetch(self, address: str, target: Path) -> None:
        await self._wire.fetch(address, target)

    def is_genuine(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
        """ShortAPI signs no callbacks; the attempt's token in the address is all there is."""
        return True

    def callback_job_id(self, body: bytes) -> str | None:
        return read_callback_id(body, "job_id", "id")

    async def aclose(self) -> None:
        await self._wire.aclose()


def _code(value: object) -> int | None:
    """Read the envelope's code, of any size and sign; None when there is none."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_refusal(answer: Answer, code: int | None) -> bool:
    refusing = answer.status == 200 or (400 <= answer.status < 500 and answer.status != 408)
    return refusing and code is not None and code != 0


def _progress(status: object, *, refunded: bool) -> Progress:
    word = str(status).lower()
    if refunded or word in _FAILED:
        return Progress.FAILED
    return Progress.FINISHED if word in _FINISHED else Progress.RUNNING


def _billed_microusd(data: dict[str, object], *, refunded: bool) -> int | None:
    """What stays billed: the credit less what was given back."""
    credit, back = read_decimal(data.get("credit")), read_decimal(data.get("refunded_credit"))
    if credit is None or (refunded and back is None):
        return None
    return microusd_from_usd(max(credit - (back or 0), Decimal(0)))


def _video_address(result: object) -> str | None:
    """Find the video: the image page shows it under ``images``, a captured job under ``videos``."""
    found = as_object(result)
    listed = [*as_list(found.get("videos")), *as_list(found.get("images"))]
    candidates = [as_object(item).get("url", item) for item in listed] + [found.get("url"), found.get("video_url")]
    for candidate in candidates:
        if isinstance(candidate, str) and candidate.startswith("http") and not _PICTURE.match(candidate):
            return candidate
    return next((text for text in _texts(result) if _VIDEO.match(text)), None)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else as_list(value):
        yield from _texts(item)
