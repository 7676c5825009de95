"""The emulator of PixelDojo: running a model, reading a job, and the public model page."""

import secrets
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

from bot.sandbox.gateways.books import Asked, Phase, SandboxJob
from bot.sandbox.gateways.desk import Desk, Kind
from bot.sandbox.gateways.faults import ReadFault, Refused
from bot.sandbox.gateways.schema import Field, Fields, Refusal, check, check_address, read_object

LABEL = "PixelDojo, HappyHorse 1.0"
MODEL = "happyhorse-1.0-r2v"
CREDITS_PER_S = {"720p": Decimal(4), "1080p": Decimal(8)}
CREDITS = Decimal(100_000)
_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4")
_FIELDS: Fields = {
    "prompt": Field(str, required=True),
    "reference_urls": Field(list, required=True, least=1, most=9),
    "duration": Field(int, least=3, most=15),
    "resolution": Field(str, choices=("720p", "1080p")),
    "aspectRatio": Field(str, choices=_RATIOS),
    "negative_prompt": Field(str),
    "seed": Field(int, least=0),
    "webhook_url": Field(str),
}
_STATUS = {
    Phase.QUEUED: "pending",
    Phase.HANDLING: "processing",
    Phase.ARCHIVING: "processing",
    Phase.DONE: "completed",
    Phase.FAILED: "failed",
}
_REFUSALS = {
    Refused.KEY: (401, "invalid_api_key"),
    Refused.CREDIT: (402, "insufficient_credits"),
    Refused.BUSY: (429, "quota_exceeded"),
    Refused.OVERLOADED: (503, "server_error"),
    Refused.CONTENT: (422, "content_policy"),
    Refused.MODEL: (404, "model_not_found"),
    Refused.REQUEST: (400, "invalid_request"),
    Refused.NOT_FOUND: (404, "not_found"),
    Refused.TYPE: (400, "invalid_request"),
}
_JSON_TYPES = {str: "string", int: "integer", list: "array"}


def refuse(kind: Refused, text: str) -> web.Response:
    """Limits are refused with a plain string, as some clients expect it, all else with an object."""
    status, code = _REFUSALS[kind]
    if kind is Refused.BUSY:
        return web.json_response({"error": text}, status=status)
    return web.json_response({"error": {"code": code, "message": text, "status": status}}, status=status)


class PixelDojoEmulator:
    """Answers as PixelDojo documents it; `additionalProperties` is false and only `aspectRatio` names the ratio."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        front = self._desk.front
        return [
            web.get("/api/v1/models/{model}", front.guarded(self._model, public=True)),
            web.post("/api/v1/models/{model}/run", front.guarded(self._run)),
            web.get("/api/v1/jobs/{id}", front.guarded(self._job)),
        ]

    async def _model(self, request: web.Request) -> web.StreamResponse:
        _check_model(request)
        schema = {
            "type": "object",
            "required": [name for name, field in _FIELDS.items() if field.required],
            "properties": {name: _property(field) for name, field in _FIELDS.items()},
            "additionalProperties": False,
        }
        cost = {"default": 20, "type": "fixed", "amount": 20}
        return web.json_response({"apiId": MODEL, "requestSchema": schema, "creditCost": cost})

    async def _run(self, request: web.Request) -> web.StreamResponse:
        _check_model(request)
        without_id = {"status": "pending", "creditCost": 20}
        return await self._desk.front.submit(
            request, self._accept, without_id=lambda: web.json_response(without_id, status=202)
        )

    async def _accept(self, body: bytes) -> web.Response:
        values = read_object(body)
        check(values, _FIELDS)
        if "webhook_url" in values:
            check_address("webhook_url", values["webhook_url"])
        asked = _asked(values)
        cost = self._desk.told_price(CREDITS_PER_S[asked.resolution] * asked.duration_s)
        if cost > self._credits_left():
            raise Refusal(Refused.CREDIT, "insufficient credits")
        job = await self._desk.take(
            gateway_job_id=f"job_{secrets.token_hex(10)}", asked=asked, billed=cost, told=self._object
        )
        return web.json_response(self._object(job) | {"creditsRemaining": float(self._credits_left())}, status=202)

    async def _job(self, request: web.Request) -> web.StreamResponse:
        fault = self._desk.stand.faults.next_read()
        if spoiled := self._desk.front.spoiled_read(request, fault):
            return spoiled
        job = self._desk.read(request.match_info["id"])
        if job is None:
            raise Refusal(Refused.NOT_FOUND, "job not found")
        data = self._object(job)
        if fault is ReadFault.UNKNOWN_STATUS:
            data |= {"status": "pondering"}
        if self._desk.lacks_address(job, fault):
            data |= {"status": "completed", "output": {}}
        return web.json_response(data)

    def _object(self, job: SandboxJob) -> dict[str, object]:
        ends = datetime.fromtimestamp(self._desk.ends_at(job), UTC)
        data: dict[str, object] = {
            "jobId": job.gateway_job_id,
            "status": _STATUS[job.phase],
            "statusUrl": f"{self._desk.stand.base_url}/api/v1/jobs/{job.gateway_job_id}",
            "creditCost": float(job.billed + job.refunded),
            "expiresAt": ends.isoformat().replace("+00:00", "Z"),
        }
        if job.phase is Phase.DONE:
            data["output"] = {"video": self._desk.video_address(job)}
        if job.phase is Phase.FAILED:
            data["error"] = job.error
        return data

    def _credits_left(self) -> Decimal:
        return CREDITS - self._desk.stand.billed


def _check_model(request: web.Request) -> None:
    if request.match_info["model"] != MODEL:
        raise Refusal(Refused.MODEL, "model not found")


def _property(field: Field) -> dict[str, object]:
    return {"type": _JSON_TYPES[field.kind], **({"enum": list(field.choices)} if field.choices else {})}


def _asked(values: dict[str, Any]) -> Asked:
    return Asked(
        model=MODEL,
        prompt=values["prompt"],
        addresses=tuple(values["reference_urls"]),
        short_side_min_px=400,
        bytes_max=10_000_000,
        resolution=values.get("resolution", "720p"),
        ratio=values.get("aspectRatio", "16:9"),
        duration_s=values.get("duration", 5),
        callback_address=values.get("webhook_url"),
    )


KIND = Kind("pixeldojo", "pd_", LABEL, refuse, PixelDojoEmulator)
