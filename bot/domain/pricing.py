"""What a gateway can do and what it costs, declared as data, and the price of a request."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bot.domain.request import DURATION_MAX_S, DURATION_MIN_S, Mode, PictureRules, Resolution, VideoRequest

log = logging.getLogger(__name__)


class Idempotency(StrEnum):
    """What a gateway does with a second submission of the same key."""

    NONE = "none"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class PriceRow:
    """The price of one resolution: the larger of a flat amount and an amount per second of video."""

    flat_microusd: int = 0
    second_microusd: int = 0

    def price_microusd(self, duration_s: int) -> int:
        return max(self.flat_microusd, self.second_microusd * duration_s)


@dataclass(frozen=True, slots=True)
class ModeCapability:
    """One model of a gateway. Empty `ratios`: the model takes no ratio. `picture_token` is formatted with ``n``."""

    model: str
    ratios: tuple[str, ...]
    resolutions: tuple[Resolution, ...] = (Resolution.P720, Resolution.P1080)
    duration_min_s: int = DURATION_MIN_S
    duration_max_s: int = DURATION_MAX_S
    pictures: PictureRules | None = None
    seed: bool = False
    negative_prompt: bool = False
    picture_token: str = "[Image {n}]"  # noqa: S105 - a word of the prompt, no secret


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Everything the domain needs to know of a gateway.

    A resolution without a row in `prices` is unpriced and cannot be bought. `free` gateways cost nothing, write no
    ledger entries and are used only when named or where no paid gateway may be used. `fetches_pictures` says that
    pictures must be given as addresses. `jobs_per_user_day` caps a free gateway. `task_life_s` is how long the gateway
    knows a job. `refusal_statuses` are the HTTP statuses that, with the gateway's own readable error envelope, are
    certain refusals of a paid POST; empty where the envelope alone decides.
    """

    gateway: str
    title: str
    model_title: str
    modes: Mapping[Mode, ModeCapability]
    prices: Mapping[Resolution, PriceRow] = field(default_factory=dict)
    free: bool = False
    configured: bool = True
    fetches_pictures: bool = True
    jobs_per_user_day: int | None = None
    idempotency: Idempotency = Idempotency.NONE
    callback_field: str | None = None
    task_life_s: float = 86_400.0
    requests_per_min: float = 60
    refusal_statuses: frozenset[int] = frozenset()

    def price_microusd(self, *, resolution: Resolution, duration_s: int) -> int | None:
        """Return the price, 0 for a free gateway, or None when it is unpriced."""
        if self.free:
            return 0
        row = self.prices.get(resolution)
        price = row.price_microusd(duration_s) if row else 0
        return price or None


@dataclass(frozen=True, slots=True)
class PriceRowName:
    """Names one price row by its gateway, mode, resolution and figures."""

    gateway: str
    mode: str
    resolution: str
    flat_microusd: int
    second_microusd: int

    def __str__(self) -> str:
        return f"{self.gateway}/{self.mode}/{self.resolution}/{self.flat_microusd}/{self.second_microusd}"

    @classmethod
    def parsed(cls, text: str) -> "PriceRowName":
        gateway, mode, resolution, flat, second = text.split("/")
        return cls(gateway, mode, resolution, int(flat), int(second))


class Overbilled:
    """The price rows that a gateway's bill has proved too low; they are unpriced until the operator changes them.

    A row is known by its figures, so that a corrected setting is a new row and priced again.
    """

    def __init__(self, known: str | None, remember: Callable[[str], Awaitable[None]]) -> None:
        """`known` is what `remember` was given last: one row's name a line."""
        self._rows = {PriceRowName.parsed(line) for line in (known or "").splitlines()}
        self._remembered = set(self._rows)
        self._remember = remember

    async def add(self, capabilities: Capabilities, request: VideoRequest, *, billed_microusd: int) -> bool:
        """Take the present row behind a request out if it asks less than was billed; say whether it is out now.

        A job of before may be billed above its own price and not above a row that was corrected since. Taking a row
        out twice changes nothing.
        """
        row = capabilities.prices.get(request.resolution)
        if row is None or billed_microusd <= row.price_microusd(request.duration_s):
            return False
        name = self._name(capabilities, request.mode, request.resolution, row)
        if name not in self._rows:
            self._rows.add(name)
            log.error("gateway billed more than its price, the mode is unpriced now row=%s", name)
        if self._remembered != self._rows:
            await self._remember("\n".join(sorted(str(name) for name in self._rows)))
            self._remembered = set(self._rows)
        return True

    def rows(self) -> list[PriceRowName]:
        """Return the rows that are out of use."""
        return sorted(self._rows, key=str)

    def without(self, capabilities: Capabilities, mode: Mode) -> Capabilities:
        """Return the capabilities without the rows that proved too low for this mode."""
        prices = {
            resolution: row
            for resolution, row in capabilities.prices.items()
            if self._name(capabilities, mode, resolution, row) not in self._rows
        }
        return capabilities if len(prices) == len(capabilities.prices) else replace(capabilities, prices=prices)

    @staticmethod
    def _name(capabilities: Capabilities, mode: Mode, resolution: Resolution, row: PriceRow) -> PriceRowName:
        return PriceRowName(capabilities.gateway, mode, resolution, row.flat_microusd, row.second_microusd)
