"""Sorts how Discord (or the way to it) failed a call into the few kinds the callers act on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final

import aiohttp
import discord

ANSWER_TIMEOUT_S: Final = 60.0

# What discord.py 2.7.1 lets through of a failed call: aiohttp's errors and a reset connection come as they are.
_FAILURES = (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError, TimeoutError)

_TOO_LARGE = 40005
_FORM = 50035
_REPLY_NEEDS_HISTORY = 160002
# Definite refusals that come as 400: no text channel, no such recipient, archived or locked thread, too many open
# threads, AutoMod, a link filter.
_REFUSED_AS_400 = frozenset({50008, 50033, 50083, 160005, 160006, 200000, 240000})
# Comes as a 429, but not for seconds: a message older than an hour takes no more edits.
_EDITED_TOO_OFTEN = 30046


class Failure(StrEnum):
    """What a failed call means. Only `UNCLEAR` leaves open whether Discord did it."""

    GONE = "gone"
    FORBIDDEN = "forbidden"
    TOO_LARGE = "too large"
    NO_REPLY = "no reply"
    FORM = "form"
    UNCLEAR = "unclear"


class CallFailed(Exception):
    """A call to Discord failed. The text holds a status and a code, never an address."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(f"{failure.value} ({detail})")
        self.failure = failure

    @property
    def refused(self) -> bool:
        """Say whether it was a definite no to this place, so that another may be tried."""
        return self.failure in {Failure.GONE, Failure.FORBIDDEN}


def sort_failure(error: Exception) -> Failure:
    """Return what a failed call means; everything that is not surely a refusal is unclear."""
    if not isinstance(error, discord.HTTPException):
        return Failure.UNCLEAR
    by_code = {
        _TOO_LARGE: Failure.TOO_LARGE,
        _REPLY_NEEDS_HISTORY: Failure.NO_REPLY,
        _FORM: Failure.FORM,
        _EDITED_TOO_OFTEN: Failure.FORBIDDEN,
    }
    if error.code in by_code:
        return by_code[error.code]
    if error.status == 413:
        return Failure.TOO_LARGE
    if error.status == 404:
        return Failure.GONE
    if error.status == 403 or (error.status == 400 and error.code in _REFUSED_AS_400):
        return Failure.FORBIDDEN
    return Failure.UNCLEAR


@asynccontextmanager
async def sorted_failures(timeout_s: float = ANSWER_TIMEOUT_S) -> AsyncIterator[None]:
    """Give the calls inside a time limit and let them fail only with CallFailed."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except _FAILURES as error:
        detail = type(error).__name__
        if isinstance(error, discord.HTTPException):
            detail = f"{error.status}/{error.code}"
        raise CallFailed(sort_failure(error), detail) from error
