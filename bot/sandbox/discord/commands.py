"""The commands the bot has registered, global and per guild."""

import copy
from collections.abc import Sequence
from typing import Any

from bot.sandbox.discord.bell import Bell
from bot.sandbox.discord.ids import Snowflakes
from bot.sandbox.discord.people import Channel
from bot.sandbox.discord.rules_commands import CHAT_INPUT, Definition, check_commands

EVERYWHERE = None


class Commands:
    """A registration replaces all of its scope; a command keeps its id as long as its name stays."""

    def __init__(self, application_id: int, new_id: Snowflakes) -> None:
        self._application_id = application_id
        self._new_id = new_id
        self._by_scope: dict[int | None, list[Definition]] = {}
        self.bell = Bell()

    @property
    def registered(self) -> bool:
        return bool(self._by_scope)

    def of(self, guild_id: int | None) -> list[Definition]:
        return self._by_scope.get(guild_id, [])

    def replace(self, guild_id: int | None, definitions: Sequence[Definition]) -> list[Definition]:
        check_commands(definitions)
        known = {(old["type"], old["name"]): old["id"] for old in self.of(guild_id)}
        self._by_scope[guild_id] = [self._registered(guild_id, new, known) for new in definitions]
        self.bell.ring()
        return self._by_scope[guild_id]

    def seen_in(self, channel: Channel) -> list[Definition]:
        """What a member's client lists there: the guild's own commands before global ones of the same name."""
        own = self.of(channel.guild.id) if channel.guild else []
        names = {(command["type"], command["name"]) for command in own}
        return own + [c for c in self.of(EVERYWHERE) if (c["type"], c["name"]) not in names]

    def _registered(self, guild_id: int | None, new: Definition, known: dict[tuple[int, str], str]) -> Definition:
        body: dict[str, Any] = copy.deepcopy(new)
        kind = body.get("type") or CHAT_INPUT
        bits = body.get("default_member_permissions")
        body |= {
            "id": known.get((kind, body["name"]), str(self._new_id())),
            "application_id": str(self._application_id),
            "version": str(self._new_id()),
            "type": kind,
            "description": body.get("description") or "",
            "default_member_permissions": None if bits is None else str(bits),
            "nsfw": bool(body.get("nsfw")),
            "integration_types": body.get("integration_types") or [0],
            "contexts": body.get("contexts"),
        }
        body.setdefault("dm_permission", True)
        body["options"] = body.get("options") or []
        if guild_id is not None:
            body["guild_id"] = str(guild_id)
        return body
