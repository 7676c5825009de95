"""Tells of every answer of a gateway, so that no gateway's own module knows that anybody counts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from bot.domain.errors import GatewayError
from bot.domain.job import Attempt
from bot.domain.ports import Accepted, Gateway, Reading, Submission
from bot.domain.pricing import Capabilities


class Answered(Protocol):
    """Is told of each ``submit``, ``read`` and ``fetch``; `error` is None where it did what was asked."""

    def __call__(self, gateway: str, *, call: str, error: GatewayError | None) -> None: ...


class MeasuredGateway:
    """A gateway that tells `answered`, and is the one it was given in everything else."""

    def __init__(self, gateway: Gateway, answered: Answered) -> None:
        self._gateway = gateway
        self._answered = answered

    @property
    def capabilities(self) -> Capabilities:
        return self._gateway.capabilities

    def body(self, submission: Submission) -> bytes:
        return self._gateway.body(submission)

    async def submit(self, attempt: Attempt) -> Accepted:
        with self._told("submit"):
            return await self._gateway.submit(attempt)

    async def read(self, gateway_job_id: str) -> Reading:
        with self._told("read"):
            return await self._gateway.read(gateway_job_id)

    async def fetch(self, address: str, target: Path) -> None:
        with self._told("fetch"):
            await self._gateway.fetch(address, target)

    def is_genuine(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
        return self._gateway.is_genuine(headers, body, now=now)

    def callback_job_id(self, body: bytes) -> str | None:
        return self._gateway.callback_job_id(body)

    async def aclose(self) -> None:
        await self._gateway.aclose()

    @contextmanager
    def _told(self, call: str) -> Iterator[None]:
        name = self._gateway.capabilities.gateway
        try:
            yield
        except GatewayError as error:
            self._answered(name, call=call, error=error)
            raise
        self._answered(name, call=call, error=None)
