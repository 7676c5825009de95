"""Who and where: users, guilds, members and channels as plain state, without any HTTP."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from bot.sandbox.discord import permissions
from bot.sandbox.discord.bell import Bell

if TYPE_CHECKING:
    from bot.sandbox.discord.message import Message
    from bot.sandbox.discord.world import World

TEXT, DIRECT, PUBLIC_THREAD, PRIVATE_THREAD = 0, 1, 11, 12
NITRO_UPLOAD_BYTES_MAX = 500 * 2**20


@dataclass(eq=False)
class User:
    """A person or the bot. `nitro` raises what the person may upload; `dms_open` False refuses the bot's messages."""

    id: int
    name: str
    world: "World" = field(repr=False)
    bot: bool = False
    nitro: bool = False
    dms_open: bool = True
    locale: str = "en-US"

    @property
    def upload_bytes_max(self) -> int:
        """What this person's own subscription allows anywhere."""
        return NITRO_UPLOAD_BYTES_MAX if self.nitro else 0

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"

    @property
    def dm(self) -> "Channel":
        """The channel between this person and the bot, made when first asked for."""
        return self.world.dm_with(self)


@dataclass(eq=False)
class Member:
    """A user in a guild."""

    user: User
    joined_at: datetime
    manager: bool = False


@dataclass(eq=False)
class Guild:
    """A server with its members and channels. `role_permissions` are what roles give; a channel may differ."""

    id: int
    name: str
    owner: User
    world: "World" = field(repr=False)
    bot_role_id: int
    upload_bytes_max: int
    role_permissions: int = permissions.EVERYONE
    channels: dict[int, "Channel"] = field(default_factory=dict, repr=False)
    members: dict[int, Member] = field(default_factory=dict, repr=False)

    def add_member(self, user: User, *, manager: bool = False) -> Member:
        self.members[user.id] = member = Member(user, self.world.now(), manager)
        return member

    def add_channel(self, name: str, *, nsfw: bool = False) -> "Channel":
        return self.world.add_channel(self, name, nsfw=nsfw)

    @property
    def has_bot(self) -> bool:
        return self.world.bot.id in self.members

    def remove_bot(self) -> None:
        """Somebody kicks the bot: it is told so, and sees nothing of the guild any more."""
        self.world.remove_bot(self)

    def become_unavailable(self) -> None:
        """An outage of Discord: the bot is told, and is still a member."""
        self.world.changed("GUILD_DELETE", self)

    def member_permissions(self, user: User) -> int:
        if user is self.owner:
            return permissions.OWNER
        member = self.members.get(user.id)
        return permissions.MANAGER if member is not None and member.manager else permissions.EVERYONE


@dataclass(eq=False)
class Channel:
    """A text channel, a thread or a direct message channel, with everything said in it."""

    id: int
    kind: int
    name: str
    world: "World" = field(repr=False)
    created_at: datetime
    guild: Guild | None = None
    parent: "Channel | None" = None
    recipient: User | None = None
    creator: User | None = None
    nsfw: bool = False
    archived: bool = False
    locked: bool = False
    bot_is_member: bool = True
    bot_permissions: int = permissions.EVERYONE
    deleted: bool = False
    by_id: "dict[int, Message]" = field(default_factory=dict, repr=False)
    bell: Bell = field(default_factory=Bell, repr=False)

    @property
    def is_thread(self) -> bool:
        return self.kind in {PUBLIC_THREAD, PRIVATE_THREAD}

    @property
    def is_private_thread(self) -> bool:
        return self.kind == PRIVATE_THREAD

    @property
    def upload_bytes_max(self) -> int:
        return self.guild.upload_bytes_max if self.guild else self.world.upload_bytes_max

    @property
    def messages(self) -> "list[Message]":
        """What everybody here can read, oldest first; private answers are on their interaction."""
        return [message for message in self.by_id.values() if not message.deleted]

    @property
    def threads(self) -> "Iterator[Channel]":
        if self.guild is not None:
            yield from (channel for channel in self.guild.channels.values() if channel.parent is self)

    def add_thread(self, name: str, *, private: bool = False, bot_is_member: bool = True) -> "Channel":
        return self.world.add_thread(self, name, private=private, bot_is_member=bot_is_member)

    def archive(self, *, locked: bool = True) -> None:
        """An unlocked archived thread opens again when somebody posts; a locked one refuses (50083)."""
        self.archived, self.locked = True, locked
        self.world.changed("THREAD_UPDATE", self)

    def lock(self) -> None:
        """A locked thread that stays open takes nothing from anybody but moderators, and no edits either (50083)."""
        self.locked = True
        self.world.changed("THREAD_UPDATE", self)

    def unarchive(self) -> None:
        self.archived = self.locked = False
        self.world.changed("THREAD_UPDATE", self)

    def delete(self) -> None:
        self.world.delete_channel(self)

    async def wait_message(
        self, predicate: "Callable[[Message], bool]" = lambda _: True, timeout_s: float = 10.0
    ) -> "Message":
        """The first readable message for which `predicate` holds, now or after a later change."""
        return await self.bell.until(
            lambda: next((message for message in self.messages if predicate(message)), None),
            timeout_s=timeout_s,
            what=f"a message in #{self.name} that fits",
        )
