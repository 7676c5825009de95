"""Quotes that wait for a press: in memory, a few for each person, good for minutes, each of use once."""

import asyncio
import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto

from bot.domain.errors import QuoteGone, QuotePressed
from bot.domain.guild import ID_MAX
from bot.domain.ports import Clock
from bot.domain.quota import Standing
from bot.domain.quoting import Quote, after_hold
from bot.domain.request import Ask, Image, VideoRequest

GOOD_FOR_S = 300.0
_PER_PERSON_MAX = 3
_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to make a video: what a press asks for, and what it was quoted."""

    ask: Ask
    quote: Quote

    @property
    def price_microusd(self) -> int:
        return self.quote.request.price_microusd


@dataclass(frozen=True, slots=True)
class Threshold:
    """The price above which somebody is asked first; `own`: set by the person, not by the guild."""

    above_microusd: int
    own: bool


@dataclass(frozen=True, slots=True)
class KeptQuote:
    """What somebody may press until `expires_at`. `asked` is what they asked for, the choices are what would pass.

    `images` are taken in, and fit every choice. `usual_s` is how long the first choice usually takes, None without
    history. `threshold` is why it is asked, None where what was asked for was refused. `was_microusd` is the price in
    an earlier quote that this one replaces.
    """

    quote_id: str
    asked: VideoRequest
    choices: tuple[Choice, ...]
    images: tuple[Image, ...]
    expires_at: datetime
    usual_s: float | None = None
    threshold: Threshold | None = None
    was_microusd: int | None = None

    @property
    def user_id(self) -> int:
        return self.choices[0].ask.user_id

    @property
    def standings_after(self) -> tuple[Standing, ...]:
        """Where the person would stand after the first choice."""
        first = self.choices[0]
        return tuple(after_hold(standing, first.price_microusd) for standing in first.quote.standings)


class Over(Enum):
    """How a quote's wait ended."""

    PRESSED = auto()
    EXPIRED = auto()
    DISMISSED = auto()


@dataclass(slots=True)
class _Waiting:
    quote: KeptQuote
    ends_at_s: float
    pressed: bool = False
    over: Over | None = None
    event: asyncio.Event = field(default_factory=asyncio.Event)


class KeptQuotes:
    """The quotes that can be pressed now. A restart forgets them all; nothing is held by any of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}
        # Until somebody has learnt how it ended, which may be later than its end.
        self._watched: dict[str, _Waiting] = {}
        self._numbers = itertools.count()

    def keep(
        self,
        asked: VideoRequest,
        choices: tuple[Choice, ...],
        images: tuple[Image, ...],
        *,
        usual_s: float | None = None,
        threshold: Threshold | None = None,
        was_microusd: int | None = None,
    ) -> KeptQuote:
        """Keep a quote; the person's oldest one, or the oldest of all, expires where there are too many."""
        ask = choices[0].ask
        quote = KeptQuote(
            # It leads back to the command, also after a restart; no two quotes of a life have the same.
            quote_id=f"{ask.interaction_id}-{next(self._numbers)}",
            asked=asked,
            choices=choices,
            images=images,
            expires_at=self._clock.now() + timedelta(seconds=GOOD_FOR_S),
            usual_s=usual_s,
            threshold=threshold,
            was_microusd=was_microusd,
        )
        waiting = _Waiting(quote, self._clock.monotonic() + GOOD_FOR_S)
        self._waiting[quote.quote_id] = self._watched[quote.quote_id] = waiting
        self._make_room(ask.user_id)
        return quote

    def press(self, quote_id: str, *, user_id: int) -> KeptQuote:
        """Begin to use a quote; `put_back` or `end` must follow.

        Raises:
            QuoteGone: there is none of that person.
            QuotePressed: it is being used.
        """
        waiting = self._waiting.get(quote_id)
        if waiting is None or waiting.quote.user_id != user_id or self._is_past(waiting):
            raise QuoteGone
        if waiting.pressed:
            raise QuotePressed
        waiting.pressed = True
        return waiting.quote

    def put_back(self, quote_id: str) -> None:
        """The press came to nothing: the quote may be pressed again while its time lasts."""
        waiting = self._waiting.get(quote_id)
        if waiting is not None:
            waiting.pressed = False
            if self._is_past(waiting):
                self.end(quote_id, Over.EXPIRED)

    def end(self, quote_id: str, over: Over) -> None:
        """Forget a quote; ended twice, the first counts."""
        waiting = self._waiting.pop(quote_id, None)
        if waiting is not None:
            waiting.over = over
            waiting.event.set()

    def withdraw(self, quote_id: str) -> bool:
        """Forget a quote that nobody waits for any more; False where it is being pressed, or is over."""
        waiting = self._waiting.get(quote_id)
        if waiting is None or waiting.pressed:
            return False
        self.end(quote_id, Over.EXPIRED)
        return True

    async def over(self, quote: KeptQuote) -> Over:
        """Wait until the quote is pressed, dismissed or its time is over, and say which; once for every quote."""
        waiting = self._watched[quote.quote_id]
        try:
            await self._clock.wait(waiting.event, max(0.0, waiting.ends_at_s - self._clock.monotonic()))
            if waiting.pressed:
                # Its time may be over while the press still works; that decides.
                await waiting.event.wait()
        finally:
            del self._watched[quote.quote_id]
        self.end(quote.quote_id, Over.EXPIRED)
        return waiting.over or Over.EXPIRED

    def _is_past(self, waiting: _Waiting) -> bool:
        return self._clock.monotonic() >= waiting.ends_at_s

    def _make_room(self, user_id: int) -> None:
        idle = [waiting.quote for waiting in self._waiting.values() if not waiting.pressed]
        of_person = [quote for quote in idle if quote.user_id == user_id]
        for quote in [*of_person[:-_PER_PERSON_MAX], *idle[:-_MAX]]:
            self.end(quote.quote_id, Over.EXPIRED)


def interaction_of(quote_id: str) -> int:
    """Return the command that a quote belongs to.

    Raises:
        QuoteGone: no command has such a number.
    """
    number = int(quote_id.partition("-")[0])
    if number > ID_MAX:
        raise QuoteGone
    return number
