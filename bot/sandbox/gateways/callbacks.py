"""Calls back when a job has ended: signed, repeated until it is taken, and as wrongly as a fault says."""

import asyncio
import hashlib
import hmac
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import aiohttp

from bot.sandbox.gateways.books import Phase, SandboxJob, Stand
from bot.sandbox.gateways.faults import CallbackFault
from bot.sandbox.gateways.pace import Pace

CALLBACK_TIMEOUT_S = 10
OVERSIZE_BYTES = 5_000_000

Told = Callable[[SandboxJob], Mapping[str, object]]
"""Makes the body of a job's callback."""


class Callbacks:
    """The callbacks of one emulator. `signing_key` is HiAPI's; empty: nothing is signed."""

    def __init__(self, stand: Stand, *, session: aiohttp.ClientSession, pace: Pace, signing_key: str) -> None:
        self._stand = stand
        self._session = session
        self._pace = pace
        self._signing_key = signing_key

    async def call_back(self, job: SandboxJob, *, told: Told, running: Mapping[str, object]) -> None:
        """Tell whoever wants to know that the job has ended. `running` is what could be told while it ran."""
        address, body = job.asked.callback_address, _json(told(job))
        if not address:
            return
        match job.callback_fault:
            case CallbackFault.NEVER:
                return
            case CallbackFault.FORGED:
                lie = replace(job, phase=Phase.FAILED, error="forged")
                await self._send(job, address, _json(told(lie)), signing_key="forged")
            case CallbackFault.GARBAGE:
                await self._send(job, address, b"\xff{")
            case CallbackFault.OVERSIZE:
                await self._send(job, address, body.ljust(OVERSIZE_BYTES))
            case CallbackFault.FOREIGN_ID:
                await self._send(job, address, _json(told(self._foreign(job))))
            case CallbackFault.TWICE:
                await asyncio.gather(self._until_taken(job, address, body), self._until_taken(job, address, body))
            case _:
                await self._until_taken(job, address, body)
        if job.callback_fault is CallbackFault.WRONG_ORDER:
            await self._send(job, address, _json(running))

    async def _until_taken(self, job: SandboxJob, address: str, body: bytes) -> None:
        for delay_s in self._pace.callback_delays_s:
            await self._pace.sleep(delay_s)
            if 200 <= await self._send(job, address, body) < 300:
                return

    async def _send(self, job: SandboxJob, address: str, body: bytes, *, signing_key: str | None = None) -> int:
        """Return the status of the answer; 0 stands for none."""
        key = self._signing_key if signing_key is None else signing_key
        headers = {"Content-Type": "application/json", **self._signed(body, key if self._signing_key else "")}
        timeout = aiohttp.ClientTimeout(CALLBACK_TIMEOUT_S)
        try:
            async with self._session.post(address, data=io.BytesIO(body), headers=headers, timeout=timeout) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = 0
        job.callback_statuses.append(status)
        return status

    def _signed(self, body: bytes, key: str) -> dict[str, str]:
        """HiAPI's optional signature: hex(HMAC-SHA256(key, timestamp + "." + raw body)); nothing without a key."""
        if not key:
            return {}
        stamp = str(int(self._pace.now().timestamp()))
        signature = hmac.new(key.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return {"X-HiAPI-Timestamp": stamp, "X-HiAPI-Signature": signature}

    def _foreign(self, job: SandboxJob) -> SandboxJob:
        """Return the dearest other job that its owner knows by its id; where there is none, one that nobody has."""
        others = [other for other in self._stand.jobs.values() if other is not job and other.reads]
        unknown = replace(job, gateway_job_id=job.gateway_job_id[::-1])
        return max(others, key=lambda other: other.billed, default=unknown)


def _json(payload: Mapping[str, object]) -> bytes:
    return json.dumps(payload).encode()
