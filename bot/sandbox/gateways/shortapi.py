"""The emulator of ShortAPI: `POST /api/v1/job/create` and `GET /api/v1/job/query`, as its three model pages say."""

import secrets
from decimal import Decimal
from typing import Any

from aiohttp import web

from bot.sandbox.gateways.books import Asked, Phase, SandboxJob
from bot.sandbox.gateways.desk import Desk, Kind
from bot.sandbox.gateways.faults import ReadFault, Refused
from bot.sandbox.gateways.schema import Field, Fields, Refusal, check, check_address, read_object

LABEL = "ShortAPI, HappyHorse 1.0"
_FAMILY = "alibaba/happyhorse-1.0"
_TOP: Fields = {"model": Field(str, required=True), "args": Field(dict, required=True), "callback_url": Field(str)}
_RESOLUTION = {"resolution": Field(str, choices=("720P", "1080P"))}
_RATIO = {"ratio": Field(str, choices=("16:9", "9:16", "1:1", "4:3", "3:4"))}
_DURATION = {"duration": Field(int, least=3, most=15)}
_PROMPT = {"prompt": Field(str, required=True)}
_ARGS: dict[str, Fields] = {
    f"{_FAMILY}/text-to-video": {**_PROMPT, **_RESOLUTION, **_RATIO, **_DURATION},
    f"{_FAMILY}/image-to-video": {**_PROMPT, "image": Field(str, required=True), **_RESOLUTION, **_DURATION},
    f"{_FAMILY}/reference-to-video": {
        **_PROMPT,
        "images": Field(list, required=True, least=1, most=9),
        **_RESOLUTION,
        **_RATIO,
        **_DURATION,
    },
}
_USD_PER_S = {"720P": Decimal("0.129"), "1080P": Decimal("0.229")}
_STATUS = {Phase.QUEUED: 0, Phase.HANDLING: 1, Phase.ARCHIVING: 1, Phase.DONE: 2, Phase.FAILED: 3}
# The numbers are made up, the pages name none; that some refusals come with HTTP 200 and some do not is not.
_REFUSALS = {
    Refused.KEY: (401, 1001),
    Refused.CREDIT: (200, 1002),
    Refused.BUSY: (429, 1003),
    Refused.OVERLOADED: (503, 1009),
    Refused.CONTENT: (200, 1004),
    Refused.MODEL: (200, 1005),
    Refused.REQUEST: (200, 1006),
    Refused.NOT_FOUND: (200, 1007),
    Refused.TYPE: (400, 1008),
}


def refuse(kind: Refused, text: str) -> web.Response:
    status, code = _REFUSALS[kind]
    return web.json_response({"code": code, "info": text}, status=status)


class ShortApiEmulator:
    """Answers as ShortAPI documents it; the image model's result stands under `images`, as its page shows."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        front = self._desk.front
        return [
            web.post("/api/v1/job/create", front.guarded(self._create)),
            web.get("/api/v1/job/query", front.guarded(self._query)),
        ]

    async def _create(self, request: web.Request) -> web.StreamResponse:
        return await self._desk.front.submit(
            request, self._accept, without_id=lambda: web.json_response({"code": 0, "data": {"job_id": ""}})
        )

    async def _accept(self, body: bytes) -> web.Response:
        values = read_object(body)
        check(values, _TOP)
        fields = _ARGS.get(values["model"])
        if fields is None:
            raise Refusal(Refused.MODEL, "invalid model")
        args = values["args"]
        check(args, fields)
        if "image" in args:
            check_address("image", args["image"])
        if "callback_url" in values:
            check_address("callback_url", values["callback_url"])
        asked = _asked(values, args)
        job = await self._desk.take(
            gateway_job_id=secrets.token_hex(12),
            asked=asked,
            billed=self._desk.told_price(_USD_PER_S[asked.resolution] * asked.duration_s),
            told=self._job,
        )
        return web.json_response(
            {"code": 0, "data": {"amount": str(job.billed + job.refunded), "job_id": job.gateway_job_id}}
        )

    async def _query(self, request: web.Request) -> web.StreamResponse:
        fault = self._desk.stand.faults.next_read()
        if spoiled := self._desk.front.spoiled_read(request, fault):
            return spoiled
        job = self._desk.read(request.query.get("id", ""))
        if job is None:
            raise Refusal(Refused.NOT_FOUND, "job not found")
        data = self._job(job)
        if fault is ReadFault.UNKNOWN_STATUS:
            data |= {"status": 7}
        if self._desk.lacks_address(job, fault):
            data |= {"status": 2, "result": {}}
        return web.json_response({"code": 0, "data": data})

    def _job(self, job: SandboxJob) -> dict[str, object]:
        """The bare job object, as queries wrap it and callbacks carry it."""
        data: dict[str, object] = {
            "id": job.gateway_job_id,
            "key_name": "sandbox",
            "model": job.asked.model,
            "args": {"prompt": job.asked.prompt},
            "status": _STATUS[job.phase],
            "credit": str(job.billed + job.refunded),
            "refunded": job.refunded > 0,
            "refunded_credit": str(job.refunded),
            "created_at": job.created_at.isoformat(),
        }
        if job.phase is Phase.DONE:
            kind = "images" if job.asked.model.endswith("image-to-video") else "videos"
            data["result"] = {kind: [{"url": self._desk.video_address(job)}]}
        if job.phase is Phase.FAILED:
            data["error"] = job.error
        return data


def _asked(values: dict[str, Any], args: dict[str, Any]) -> Asked:
    image = "image" in args
    return Asked(
        model=values["model"],
        prompt=args["prompt"],
        addresses=(args["image"],) if image else tuple(args.get("images", ())),
        short_side_min_px=300 if image else 400,
        bytes_max=10_000_000,
        resolution=args.get("resolution", "1080P"),
        ratio=None if image else args.get("ratio", "16:9"),
        duration_s=args.get("duration", 5),
        callback_address=values.get("callback_url"),
    )


KIND = Kind("shortapi", "ak-", LABEL, refuse, ShortApiEmulator, reports_refunds=True)
