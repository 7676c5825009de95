"""PixelDojo's wire contract: HappyHorse 1.0 from reference images.

Fields: https://pixeldojo.ai/api-platform/happyhorse-1.0-r2v and the SDK's README, read 2026-11-20. Samples written to
them are in tests/adapters/samples/pixeldojo/.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import httpx
from pydantic import SecretStr

from bot.adapters.gateways.download import Resolve, addresses_of
from bot.adapters.gateways.http import (
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
from bot.domain.money import microusd_from_usd
from bot.domain.ports import Accepted, Progress, Reading, Submission
from bot.domain.pricing import Capabilities, ModeCapability, PriceRow
from bot.domain.prompt import render_tokens
from bot.domain.request import RATIO_DEFAULT, Mode, PictureRules, Resolution

log = logging.getLogger(__name__)

NAME = "pixeldojo"
BASE_URL = "https://pixeldojo.ai"
HOSTS = ("*.pixeldojo.ai", "*.aliyuncs.com")
MODEL = "happyhorse-1.0-r2v"
RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4")
REFUSAL_STATUSES = frozenset({400, 401, 402, 403, 404, 422, 429})

# The page's table says the first, its example (a template shared by all models) the second; sending both may be a 400.
_RATIO_KEYS = ("aspectRatio", "aspect_ratio")
_FINISHED = frozenset({"completed", "succeeded"})
_FAILED = frozenset({"failed"})
_MP4 = re.compile(r"^https?://[^?#]+\.mp4(?:[?#]|$)", re.IGNORECASE)


class PixelDojo:
    """The gateway PixelDojo. It bills in credits: without `credit_usd` what it billed is unknown."""

    def __init__(
        self,
        *,
        key: SecretStr | None,
        base_url: str = BASE_URL,
        prices: Mapping[Resolution, PriceRow] | None = None,
        credit_usd: Decimal | None = None,
        requests_per_min: int = 8,
        task_life_s: float = 86_400,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve = addresses_of,
    ) -> None:
        base = read_base(base_url, prefix="/api/v1")
        self._wire = Wire(gateway=NAME, base=base, key=key, hosts=HOSTS, transport=transport, resolve=resolve)
        self._credit_usd = credit_usd
        self._ratio_key = _RATIO_KEYS[0]
        pictures = PictureRules(count_min=1, count_max=9, short_side_min_px=400, bytes_max=10_000_000)
        mode = ModeCapability(model=MODEL, ratios=RATIOS, pictures=pictures, seed=True, negative_prompt=True)
        self.capabilities = Capabilities(
            gateway=NAME,
            title="PixelDojo",
            model_title="HappyHorse 1.0",
            modes={Mode.REFERENCE: mode},
            prices=prices or {},
            configured=self._wire.has_key,
            callback_field="webhook_url",
            task_life_s=task_life_s,
            requests_per_min=requests_per_min,
            refusal_statuses=REFUSAL_STATUSES,
        )

    async def prepare(self) -> None:
        """Learn from the public model page which key the ratio has; without an answer the present one stays.

        Call it before the first `body`; again does no harm.
        """
        try:
            payload = await self._wire.get(f"/models/{MODEL}", public=True)
        except GatewayUnavailable as error:
            log.warning("model page not read gateway=%s detail=%s ratio_key=%s", NAME, error.detail, self._ratio_key)
            return
        schema = payload.get("requestSchema") or as_object(payload.get("model")).get("requestSchema")
        properties = as_object(as_object(schema).get("properties"))
        self._ratio_key = next((key for key in _RATIO_KEYS if key in properties), self._ratio_key)

    def body(self, submission: Submission) -> bytes:
        request = submission.request
        mode = self.capabilities.modes[request.mode]
        body: dict[str, object] = {
            "prompt": render_tokens(request.prompt, mode.picture_token),
            "reference_urls": list(submission.addresses),
            "duration": request.duration_s,
            "resolution": request.resolution.value,
            self._ratio_key: request.ratio or RATIO_DEFAULT,
        }
        if request.negative_prompt:
            body["negative_prompt"] = request.negative_prompt
        if request.seed is not None:
            body["seed"] = request.seed
        if submission.callback_address:
            body["webhook_url"] = submission.callback_address
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    async def submit(self, attempt: Attempt) -> Accepted:
        answer = await self._wire.post_paid(f"/models/{path_part(attempt.model)}/run", attempt.body)
        payload = answer.payload() or {}
        gateway_job_id = read_id(payload.get("jobId"), payload.get("job_id"))
        error = payload.get("error") or payload.get("message")
        if httpx.codes.is_success(answer.status) and gateway_job_id and not payload.get("error"):
            return Accepted(gateway_job_id, self._billed_microusd(payload))
        if answer.status in REFUSAL_STATUSES and isinstance(error, str | dict) and not names_a_job(payload):
            raise refused(NAME, answer.status, words(payload), sent=attempt.body, retry_after_s=answer.retry_after_s)
        raise SubmissionUnconfirmed(NAME, f"status {answer.status} without a certain answer")

    async def read(self, gateway_job_id: str) -> Reading:
        payload = await self._wire.get(f"/jobs/{path_part(gateway_job_id)}")
        # An error of the API carries the HTTP status as a number; a job's status is a word.
        if not isinstance(payload.get("status"), str):
            raise GatewayUnavailable(NAME, "an answer without a job")
        progress = _progress(payload.get("status"))
        finished = progress is Progress.FINISHED
        text = words(payload.get("error"), payload.get("message"))
        return Reading(
            progress,
            video_address=_video_address(payload) if finished else None,
            video_until=read_time(payload.get("expiresAt")) if finished else None,
            billed_microusd=self._billed_microusd(payload),
            refusal=job_refusal(text),
            refused_picture=refused_picture(text),
        )

    async def fetch(self, address: str, target: Path) -> None:
        await self._wire.fetch(address, target)

    def is_genuine(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
        """PixelDojo signs no callbacks; the attempt's token in the address is all there is."""
        return True

    def callback_job_id(self, body: bytes) -> str | None:
        return read_callback_id(body, "jobId", "job_id", under=("data", "job"))

    async def aclose(self) -> None:
        await self._wire.aclose()

    def _billed_microusd(self, payload: dict[str, object]) -> int | None:
        credits = read_decimal(payload.get("creditCost"))
        if credits is None or self._credit_usd is None:
            return None
        return microusd_from_usd(credits * self._credit_usd)


def _progress(status: object) -> Progress:
    word = str(status).lower()
    if word in _FINISHED:
        return Progress.FINISHED
    return Progress.FAILED if word in _FAILED else Progress.RUNNING


def _video_address(payload: dict[str, object]) -> str | None:
    output, assets = as_object(payload.get("output")), as_list(payload.get("assets"))
    listed = [output.get("video"), *as_list(output.get("videos"))]
    for candidate in listed:
        address = as_object(candidate).get("url", candidate)
        if isinstance(address, str) and address.startswith("http"):
            return address
    found = [text for text in _texts([assets, payload.get("output")]) if _MP4.match(text)]
    return found[0] if found else _only_asset(assets)


def _only_asset(assets: list[object]) -> str | None:
    """Return the address of the only asset: the SDK's README shows ``assets[0].url`` without a file extension."""
    address = as_object(assets[0]).get("url") if len(assets) == 1 else None
    return address if isinstance(address, str) and address.startswith("http") else None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else as_list(value):
        yield from _texts(item)
