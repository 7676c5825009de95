"""A bell: whoever waits for something to become true is woken at each change, never by polling."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Bell:
    """Rung after a change; `until` looks again at each ring and gives up at its deadline."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def ring(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, look: Callable[[], T | None], *, timeout_s: float, what: str) -> T:
        """The first value of `look` that is not None; `TimeoutError` says what did not happen."""
        try:
            async with asyncio.timeout(timeout_s):
                while (seen := look()) is None:
                    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiting.append(future)
                    await future
        except TimeoutError:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}") from None
        return seen
