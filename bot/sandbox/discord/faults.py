"""Faults a test asks for: lost answers, errors, delays, dead sockets, deleted places, forgotten nonces."""

import asyncio
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from bot.sandbox.discord.message import Message
from bot.sandbox.discord.people import Channel
from bot.sandbox.discord.world import World

ALWAYS = 10**9


class FaultKind(StrEnum):
    DROP_BEFORE = "drop before"
    DROP_AFTER = "drop after"
    ANSWER = "answer"
    ANSWER_AFTER = "answer after"
    HOLD = "hold"
    HOLD_ANSWER = "hold answer"


@dataclass(eq=False)
class Fault:
    """Meets the next `times` requests whose `METHOD /path` the pattern finds.

    `reached` is set by the first of them, `spent` by the last.
    """

    kind: FaultKind
    pattern: re.Pattern[str]
    times: int
    status: int = 0
    retry_after_s: float = 0.0
    is_global: bool = False
    with_via: bool = True
    code: int = 0
    wait: asyncio.Event | None = None
    delay_s: float = 0.0
    met: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    spent: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def release(self) -> None:
        """Lets a held request go on."""
        if self.wait is not None:
            self.wait.set()

    async def pause(self) -> None:
        if self.wait is not None:
            await self.wait.wait()
        elif self.delay_s:
            await asyncio.sleep(self.delay_s)


class Sockets(Protocol):
    """The part of the gateway that faults use."""

    refuses: bool

    def close_all(self, *, resumable: bool, abruptly: bool = False) -> int: ...

    def invalidate_all(self, *, resumable: bool) -> None: ...

    def silence_all(self) -> None: ...


class Faults:
    """Faults wait in order; a request meets the first of each kind that fits it."""

    def __init__(self, world: World, sockets: Sockets) -> None:
        self._world = world
        self._sockets = sockets
        self._waiting: list[Fault] = []

    def drop_before(self, pattern: str, times: int = 1) -> Fault:
        """The connection ends before anything is done: the request had no effect."""
        return self._add(FaultKind.DROP_BEFORE, pattern, times)

    def drop_after(self, pattern: str, times: int = 1) -> Fault:
        """The connection ends after everything is done: the effect is there, the answer is lost."""
        return self._add(FaultKind.DROP_AFTER, pattern, times)

    def answer(
        self,
        pattern: str,
        status: int,
        times: int = 1,
        *,
        retry_after_s: float = 0.05,
        is_global: bool = False,
        with_via: bool = True,
        code: int = 0,
    ) -> Fault:
        """This status (below 500 with Discord's `code`) instead of an effect.

        A 429 says when to come again; without Via it looks like Cloudflare's. One with the code 30046 refuses another
        edit of a message older than an hour.
        """
        fault = self._add(FaultKind.ANSWER, pattern, times)
        fault.status, fault.retry_after_s = status, retry_after_s
        fault.is_global, fault.with_via, fault.code = is_global, with_via, code
        return fault

    def answer_after(self, pattern: str, status: int, times: int = 1) -> Fault:
        """Everything is done, and a proxy answers with this status, 500 or more."""
        fault = self._add(FaultKind.ANSWER_AFTER, pattern, times)
        fault.status = status
        return fault

    def delay(self, pattern: str, seconds: float, times: int = 1) -> Fault:
        fault = self._add(FaultKind.HOLD, pattern, times)
        fault.delay_s = seconds
        return fault

    def hold(self, pattern: str, times: int = 1) -> Fault:
        """The request waits until `release()`; `reached` is set when it is there."""
        fault = self._add(FaultKind.HOLD, pattern, times)
        fault.wait = asyncio.Event()
        return fault

    def hold_answer(self, pattern: str, times: int = 1) -> Fault:
        """Everything is done, and the answer waits until `release()`; `reached` is set when it is held back."""
        fault = self._add(FaultKind.HOLD_ANSWER, pattern, times)
        fault.wait = asyncio.Event()
        return fault

    def delete_channel(self, channel: Channel) -> None:
        channel.delete()

    def delete_message(self, message: Message) -> None:
        message.delete()

    def close_gateway(self, *, resumable: bool = True, abruptly: bool = False) -> int:
        """Closes every gateway socket (abruptly: without a word); not resumable means that the session is gone."""
        return self._sockets.close_all(resumable=resumable, abruptly=abruptly)

    def invalidate_session(self, *, resumable: bool = False) -> None:
        self._sockets.invalidate_all(resumable=resumable)

    def silence_gateway(self) -> None:
        """The open sockets stay open and say nothing more; new ones work."""
        self._sockets.silence_all()

    def go_down(self) -> None:
        """Until `clear`, every request is answered with 503, and the gateway cuts its sockets and takes no new ones."""
        self.answer("", 503, times=ALWAYS)
        self._sockets.refuses = True
        self._sockets.close_all(resumable=True, abruptly=True)

    def forget_nonces(self) -> None:
        self._world.forget_nonces()

    def clear(self) -> None:
        self._sockets.refuses = False
        for fault in self._waiting:
            fault.release()
        self._waiting.clear()

    def meet(self, kind: FaultKind, method: str, path: str) -> Fault | None:
        """The fault this request runs into, counted."""
        for fault in self._waiting:
            if fault.kind is kind and fault.pattern.search(f"{method} {path}"):
                fault.met += 1
                fault.reached.set()
                if fault.met >= fault.times:
                    fault.spent.set()
                    self._waiting.remove(fault)
                return fault
        return None

    def _add(self, kind: FaultKind, pattern: str, times: int) -> Fault:
        fault = Fault(kind, re.compile(pattern), times)
        self._waiting.append(fault)
        return fault
