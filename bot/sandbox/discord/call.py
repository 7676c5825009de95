"""One REST call as the handlers see it: decoded from HTTP, with what the route says about it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import BodyPartReader, web

from bot.sandbox.discord.errors import ApiError, invalid_form, too_large
from bot.sandbox.discord.files import Upload
from bot.sandbox.discord.posting import Draft

PART_CHUNK_BYTES = 256 * 1024
FILE_FIELD = re.compile(r"files\[(\d+)\]")


class Answer(NamedTuple):
    """What a handler says; None is an answer without a body."""

    status: int
    body: Any = None


@dataclass(frozen=True)
class Call:
    """`payload` is the JSON part, whether it came alone or in a multipart form."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    payload: Any
    uploads: Mapping[int, Upload] = field(default_factory=dict)
    arrived_at: float = 0.0

    def number(self, name: str) -> int:
        """An id in the path."""
        text = self.path[name]
        if not text.isdigit():
            raise invalid_form(name, "NUMBER_TYPE_COERCE", f'Value "{text}" is not snowflake.')
        return int(text)

    @property
    def form(self) -> dict[str, Any]:
        """The payload of a route that takes an object."""
        if not isinstance(self.payload, dict):
            raise ApiError(400, 50109, "The request body contains invalid JSON.")
        return self.payload

    @property
    def draft(self) -> Draft:
        return Draft(self.form, self.uploads)


async def read_body(request: web.Request, *, bytes_max: int) -> tuple[Any, dict[int, Upload]]:
    """JSON and files. An oversized body is read to its end first, so that the refusal can be read."""
    if request.content_type == "multipart/form-data":
        return await _read_form(request, bytes_max)
    raw = bytearray()
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size <= bytes_max:
            raw += chunk
    if size > bytes_max:
        raise too_large()
    return _json(bytes(raw)) if raw else None, {}


async def _read_form(request: web.Request, bytes_max: int) -> tuple[Any, dict[int, Upload]]:
    payload: Any = None
    uploads: dict[int, Upload] = {}
    size = 0
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            raise invalid_form("", "BASE_TYPE_BAD", "Nested forms are not read.")
        data = bytearray()
        while chunk := await part.read_chunk(PART_CHUNK_BYTES):
            size += len(chunk)
            if size <= bytes_max:
                data += chunk
        name = FILE_FIELD.fullmatch(part.name or "")
        if name is not None:
            uploads[int(name[1])] = Upload(part.filename or "unknown", bytes(data))
        elif part.name == "payload_json" and size <= bytes_max:
            payload = _json(bytes(data))
    if size > bytes_max:
        raise too_large()
    return payload if payload is not None else {}, uploads


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        raise ApiError(400, 50109, "The request body contains invalid JSON.") from None
