"""One interaction: what a member did, how and when the bot answered, and how long its token lives."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from bot.sandbox.discord.bell import Bell
from bot.sandbox.discord.people import Channel, User
from bot.sandbox.discord.wire import user_json

if TYPE_CHECKING:
    from bot.sandbox.discord.message import Message
    from bot.sandbox.discord.world import World

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5
ACKNOWLEDGE_WITHIN_S = 3.0
TOKEN_LIFE_S = 900.0
KEPT_S = 86_400.0


class Acknowledgement(NamedTuple):
    """The type of the bot's first answer and how long it took to come, in real seconds."""

    type: int
    took_s: float


@dataclass(eq=False)
class Interaction:
    """`original` is the answer, `followups` what came after it, `modal` or `choices` the other kinds of answer."""

    id: int
    kind: int
    user: User
    channel: Channel
    created_at: datetime
    name: str = ""
    source: "Message | None" = field(default=None, repr=False)
    trigger: "Interaction | None" = field(default=None, repr=False)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    acknowledgement: Acknowledgement | None = None
    original: "Message | None" = field(default=None, repr=False)
    followups: "list[Message]" = field(default_factory=list, repr=False)
    modal: dict[str, Any] | None = field(default=None, repr=False)
    choices: list[dict[str, Any]] | None = field(default=None, repr=False)
    payload: dict[str, Any] = field(default_factory=dict, repr=False)
    token_is_dead: bool = False
    bell: Bell = field(default_factory=Bell, repr=False)
    sent_at: float = field(default_factory=lambda: asyncio.get_running_loop().time(), repr=False)

    @property
    def upload_bytes_max(self) -> int:
        """What an answer may carry, and what the member may attach: the place's limit or the member's own."""
        return max(self.channel.upload_bytes_max, self.user.upload_bytes_max)

    def acknowledge(self, answer_type: int, arrived_at: float) -> None:
        self.acknowledgement = Acknowledgement(answer_type, arrived_at - self.sent_at)

    def too_late_to_acknowledge(self, now: datetime) -> bool:
        return (now - self.created_at).total_seconds() > ACKNOWLEDGE_WITHIN_S

    def expire_token(self) -> None:
        """As if its fifteen minutes were over: whatever the bot still says by it is refused (401 / 50027)."""
        self.token_is_dead = True

    def token_expired(self, now: datetime) -> bool:
        return self.token_is_dead or (now - self.created_at).total_seconds() > TOKEN_LIFE_S

    async def acknowledged(self, timeout_s: float = 5.0) -> Acknowledgement:
        """The bot's first answer, of any kind."""
        return await self.bell.until(lambda: self.acknowledgement, timeout_s=timeout_s, what=f"an answer to {self}")

    async def answer(self, timeout_s: float = 10.0, until: "Callable[[Message], bool] | None" = None) -> "Message":
        """The answer once it is more than "thinking", and once `until` holds for it."""

        def look() -> "Message | None":
            message = self.original
            if message is None or message.loading or message.deleted:
                return None
            return message if until is None or until(message) else None

        return await self.bell.until(look, timeout_s=timeout_s, what=f"the answer to {self}")

    async def followup(self, timeout_s: float = 10.0, until: "Callable[[Message], bool] | None" = None) -> "Message":
        """The first followup for which `until` holds."""

        def look() -> "Message | None":
            return next((message for message in self.followups if until is None or until(message)), None)

        return await self.bell.until(look, timeout_s=timeout_s, what=f"a followup to {self}")

    async def modal_shown(self, timeout_s: float = 5.0) -> dict[str, Any]:
        """The modal the bot answered with, as it came over the wire."""
        return await self.bell.until(lambda: self.modal, timeout_s=timeout_s, what=f"a modal for {self}")

    def metadata_json(self) -> dict[str, Any]:
        """What a message says about the interaction it answers."""
        body: dict[str, Any] = {
            "id": str(self.id),
            "type": self.kind,
            "user": user_json(self.user),
            "authorizing_integration_owners": self.owners_json(),
        }
        if self.kind == COMPONENT and self.source is not None:
            body["interacted_message_id"] = str(self.source.id)
        if self.kind == MODAL_SUBMIT and self.trigger is not None:
            body["triggering_interaction_metadata"] = self.trigger.metadata_json()
        return body

    def owners_json(self) -> dict[str, str]:
        """Installed in a guild: the guild; in a direct message with the bot Discord says 0."""
        return {"0": str(self.channel.guild.id) if self.channel.guild else "0"}

    def __str__(self) -> str:
        return f"{self.name or 'interaction'} of {self.user.name}"


class Interactions:
    """Every interaction by its token, so that an answer finds the one it belongs to."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._by_token: dict[str, Interaction] = {}

    def open(
        self,
        kind: int,
        user: User,
        channel: Channel,
        *,
        name: str,
        source: "Message | None" = None,
        trigger: Interaction | None = None,
    ) -> Interaction:
        world = self._world
        interaction = Interaction(world.new_id(), kind, user, channel, world.now(), name, source, trigger)
        self._by_token[interaction.token] = interaction
        self._forget_old(world.now())
        return interaction

    def _forget_old(self, now: datetime) -> None:
        """Tokens long expired; until then an answer by one is told that it is too late."""
        while (now - (oldest := next(iter(self._by_token.values()))).created_at).total_seconds() > KEPT_S:
            del self._by_token[oldest.token]

    def find(self, token: str) -> Interaction | None:
        return self._by_token.get(token)
