"""The emulator of HiAPI: `POST /v1/tasks`, `GET /v1/tasks/{id}` and the list, with its idempotency table."""

import hashlib
import secrets
from datetime import timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from bot.sandbox.gateways.books import Asked, Key, Phase, SandboxJob
from bot.sandbox.gateways.desk import Desk, Kind
from bot.sandbox.gateways.faults import KeyFault, ReadFault, Refused
from bot.sandbox.gateways.schema import Field, Fields, Refusal, check, check_address, read_object

LABEL = "HiAPI, HappyHorse 1.1"
IDEMPOTENCY_KEY_BYTES_MAX = 255
IDEMPOTENCY_KEY_LIFE = timedelta(hours=24)
_TOP: Fields = {
    "model": Field(str, required=True),
    "input": Field(dict, required=True),
    "callback": Field(dict),
    "route": Field(str),
    "storage": Field(str, choices=("temp", "persistent")),
}
_CALLBACK: Fields = {"url": Field(str, required=True), "when": Field(str, choices=("final",))}
_RESOLUTION = {"resolution": Field(str, choices=("720p", "1080p"))}
_RATIOS = ("16:9", "9:16", "3:4", "4:3", "4:5", "5:4", "1:1", "9:21", "21:9")
_RATIO = {"aspect_ratio": Field(str, choices=_RATIOS)}
_DURATION = {"duration": Field(int, least=3, most=15)}
_PROMPT = {"prompt": Field(str, required=True)}
_INPUTS: dict[str, Fields] = {
    "happyhorse-1.1/text-to-video": {**_PROMPT, **_RESOLUTION, **_RATIO, **_DURATION},
    "happyhorse-1.1/image-to-video": {
        "prompt": Field(str),
        "image_urls": Field(list, required=True, least=1, most=1),
        **_RESOLUTION,
        **_DURATION,
    },
    "happyhorse-1.1/reference-to-video": {
        **_PROMPT,
        "reference_image": Field(list, required=True, least=1, most=9),
        **_RESOLUTION,
        **_RATIO,
        **_DURATION,
    },
}
# HiAPI publishes no prices in our sources; the sandbox needs some.
USD_PER_S = {"720p": Decimal("0.139"), "1080p": Decimal("0.186")}
_STATUS = {Phase.DONE: "success", Phase.FAILED: "fail"}
_REFUSALS = {
    Refused.KEY: (401, "UNAUTHORIZED"),
    Refused.CREDIT: (402, "INSUFFICIENT_BALANCE"),
    Refused.BUSY: (429, "RATE_LIMIT_EXCEEDED"),
    Refused.OVERLOADED: (503, "SERVICE_UNAVAILABLE"),
    Refused.CONTENT: (400, "INVALID_REQUEST"),
    Refused.MODEL: (400, "MODEL_UNAVAILABLE"),
    Refused.REQUEST: (400, "INVALID_REQUEST"),
    Refused.NOT_FOUND: (404, "NOT_FOUND"),
    Refused.TYPE: (415, "UNSUPPORTED_MEDIA_TYPE"),
}


def refuse(kind: Refused, text: str) -> web.Response:
    """Keys and limits are refused in the envelope of HiAPI's blog, all else in the documented one."""
    status, code = _REFUSALS[kind]
    if kind in {Refused.KEY, Refused.BUSY}:
        error = {"code": code.lower(), "type": "hiapi_error", "message": text, "request_id": "req_sandbox"}
        return web.json_response({"error": error}, status=status)
    return _documented(status, code, text)


def _documented(status: int, code: str, text: str) -> web.Response:
    return web.json_response({"code": status, "message": text, "data": None, "error_code": code}, status=status)


def _mismatch() -> web.Response:
    return _documented(422, "IDEMPOTENCY_KEY_MISMATCH", "the key was used with another body")


def _processing() -> web.Response:
    response = _documented(409, "IDEMPOTENCY_KEY_PROCESSING", "the first request is still being processed")
    response.headers["Retry-After"] = "5"
    return response


class HiApiEmulator:
    """Answers as HiAPI documents it. In `output` the first frame stands before the video: the first entry is wrong."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        front = self._desk.front
        return [
            web.post("/v1/tasks", front.guarded(self._create)),
            web.get("/v1/tasks", front.guarded(self._list)),
            web.get("/v1/tasks/{id}", front.guarded(self._detail)),
        ]

    async def _create(self, request: web.Request) -> web.StreamResponse:
        """A key is known from the first byte on, and forgotten again if nothing was started with it."""
        name = request.headers.get("Idempotency-Key", "")
        if len(name.encode()) > IDEMPOTENCY_KEY_BYTES_MAX:
            raise Refusal(Refused.REQUEST, "Idempotency-Key is too long")
        front, keys, now = self._desk.front, self._desk.stand.keys, self._desk.pace.now()
        if name and (wrong := self._desk.stand.faults.next_key()):
            await front.receive(request)
            return _processing() if wrong is KeyFault.PROCESSING else _mismatch()
        body_hash = hashlib.sha256(await request.read()).hexdigest()
        known = keys.get(name)
        if known is not None and now - known.since >= IDEMPOTENCY_KEY_LIFE:
            known = None
        key = known or Key(body_hash, now)
        if name:
            keys[name] = key

        async def accept(body: bytes) -> web.Response:
            return await self._first(key, body) if known is None else self._again(known, body)

        try:
            return await front.submit(request, accept, without_id=lambda: _envelope({}))
        finally:
            if known is None and key.gateway_job_id is None and keys.get(name) is key:
                del keys[name]

    async def _first(self, key: Key, body: bytes) -> web.Response:
        key.gateway_job_id = (await self._accept(body)).gateway_job_id
        return _envelope({"taskId": key.gateway_job_id})

    def _again(self, known: Key, body: bytes) -> web.Response:
        if known.body_hash != hashlib.sha256(body).hexdigest():
            return _mismatch()
        if known.gateway_job_id is None:
            return _processing()
        self._desk.stand.replays += 1
        response = _envelope({"taskId": known.gateway_job_id})
        response.headers["Idempotent-Replay"] = "true"
        return response

    async def _accept(self, body: bytes) -> SandboxJob:
        values = read_object(body)
        check(values, _TOP)
        fields = _INPUTS.get(values["model"])
        if fields is None:
            raise Refusal(Refused.MODEL, "model unavailable")
        check(values["input"], fields)
        if "callback" in values:
            check(values["callback"], _CALLBACK)
            check_address("callback.url", values["callback"]["url"])
        asked = _asked(values)
        return await self._desk.take(
            gateway_job_id=f"tk-hiapi-{secrets.token_hex(13).upper()}",
            asked=asked,
            billed=USD_PER_S[asked.resolution] * asked.duration_s,
            told=self._task,
        )

    async def _detail(self, request: web.Request) -> web.StreamResponse:
        fault = self._desk.stand.faults.next_read()
        if spoiled := self._desk.front.spoiled_read(request, fault):
            return spoiled
        job = self._desk.read(request.match_info["id"])
        if job is None:
            raise Refusal(Refused.NOT_FOUND, "task not found")
        data = self._task(job)
        if fault is ReadFault.UNKNOWN_STATUS:
            data |= {"status": "pondering"}
        if self._desk.lacks_address(job, fault):
            data |= {"status": "success", "output": _first_frames(data)}
        return _envelope(data)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        page, size = int(request.query.get("page", "1")), int(request.query.get("size", "20"))
        newest = list(reversed(self._desk.stand.jobs.values()))
        tasks = [self._task(job) for job in newest[(page - 1) * size : page * size]]
        return _envelope({"tasks": tasks, "page": page, "size": size, "total": len(newest)})

    def _task(self, job: SandboxJob) -> dict[str, object]:
        """The bare `data` object, as reads wrap it and callbacks carry it."""
        data: dict[str, object] = {
            "taskId": job.gateway_job_id,
            "model": job.asked.model,
            "status": _STATUS.get(job.phase, job.phase.value),
            "created": int(job.created_at.timestamp()),
            "completed": int(job.ended_at.timestamp()) if job.ended_at else 0,
            "storage": "temp",
        }
        if job.phase is Phase.DONE:
            ends = self._desk.ends_at(job)
            data["output"] = [
                {"url": self._desk.frame_address(job), "type": "first_frame", "expireAt": ends},
                {"url": self._desk.video_address(job), "type": "video", "expireAt": ends},
            ]
        if job.phase is Phase.FAILED:
            data["error"] = {"code": "TASK_FAILED", "message": job.error}
        return data


def _first_frames(data: dict[str, object]) -> list[object]:
    output = data.get("output")
    return output[:1] if isinstance(output, list) else []


def _envelope(data: dict[str, object]) -> web.Response:
    return web.json_response({"code": 200, "message": "success", "data": data})


def _asked(values: dict[str, Any]) -> Asked:
    given = values["input"]
    image = "image_urls" in given
    return Asked(
        model=values["model"],
        prompt=given.get("prompt", ""),
        addresses=tuple(given.get("image_urls") or given.get("reference_image", ())),
        short_side_min_px=300 if image else 400,
        bytes_max=20_000_000,
        resolution=given.get("resolution", "1080p"),
        ratio=None if image else given.get("aspect_ratio", "16:9"),
        duration_s=given.get("duration", 5),
        callback_address=values.get("callback", {}).get("url"),
    )


KIND = Kind("hiapi", "sk-", LABEL, refuse, HiApiEmulator, concurrent_max=10, body_bytes_max=10_000_000)
