"""The whole state of the sandbox's Discord, and the only place where it is changed."""

from collections.abc import Callable, Sequence
from datetime import datetime

from bot.sandbox.discord.bell import Bell
from bot.sandbox.discord.files import FileStore, StoredFile, Upload
from bot.sandbox.discord.ids import Snowflakes
from bot.sandbox.discord.links import Links
from bot.sandbox.discord.message import Message
from bot.sandbox.discord.people import DIRECT, PRIVATE_THREAD, PUBLIC_THREAD, TEXT, Channel, Guild, User

NONCE_WINDOW_S = 300.0
REQUEST_BYTES_MAX = 25 * 2**20
FORM_BYTES = 2**20

Observer = Callable[[str, object], None]
"""Called with the name of a gateway event and the user, guild, channel or message it is about."""


class World:
    """Users, guilds, channels, messages and files. Observers (the gateway, a page) are told of every change."""

    def __init__(self, now: Callable[[], datetime], *, upload_bytes_max: int, link_life_s: int) -> None:
        self.now = now
        self.new_id = Snowflakes(now)
        self.links = Links(now, link_life_s)
        self.files = FileStore()
        self.upload_bytes_max = upload_bytes_max
        self.nonce_window_s = NONCE_WINDOW_S
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.observers: list[Observer] = []
        self.bell = Bell()
        self._nonces: dict[tuple[int, int, str], tuple[datetime, Message]] = {}
        self.bot = self.add_user("gallop", bot=True)
        self.owner = self.add_user("operator")
        self.application_id = self.bot.id

    def request_bytes_max(self) -> int:
        """The default for a whole request, or more where a guild takes larger files."""
        return max([REQUEST_BYTES_MAX, *(guild.upload_bytes_max + FORM_BYTES for guild in self.guilds.values())])

    def changed(self, event: str, subject: object) -> None:
        for observer in self.observers:
            observer(event, subject)
        if isinstance(subject, Message):
            subject.channel.bell.ring()
            for bell in subject.watchers:
                bell.ring()
        self.bell.ring()

    def add_user(self, name: str, *, bot: bool = False, nitro: bool = False) -> User:
        user = User(self.new_id(), name, self, bot, nitro)
        self.users[user.id] = user
        return user

    def add_guild(self, name: str, *, owner: User, upload_bytes_max: int | None) -> Guild:
        limit = self.upload_bytes_max if upload_bytes_max is None else upload_bytes_max
        guild = Guild(self.new_id(), name, owner, self, self.new_id(), limit)
        guild.add_member(owner)
        guild.add_member(self.bot)
        self.guilds[guild.id] = guild
        self.changed("GUILD_CREATE", guild)
        return guild

    def remove_bot(self, guild: Guild) -> None:
        del guild.members[self.bot.id]
        self.changed("GUILD_DELETE", guild)

    def share_guild(self, user: User) -> bool:
        """Whether the bot may write to this person at all."""
        return any(guild.has_bot and user.id in guild.members for guild in self.guilds.values())

    def add_channel(self, guild: Guild, name: str, *, nsfw: bool) -> Channel:
        channel = Channel(self.new_id(), TEXT, name, self, self.now(), guild, nsfw=nsfw)
        self._enter(channel, "CHANNEL_CREATE")
        return channel

    def add_thread(self, parent: Channel, name: str, *, private: bool, bot_is_member: bool) -> Channel:
        kind = PRIVATE_THREAD if private else PUBLIC_THREAD
        guild = parent.guild
        owner = guild.owner if guild else self.owner
        thread = Channel(self.new_id(), kind, name, self, self.now(), guild, parent, creator=owner)
        thread.bot_is_member = bot_is_member
        self._enter(thread, "THREAD_CREATE")
        return thread

    def dm_with(self, user: User) -> Channel:
        for channel in self.channels.values():
            if channel.recipient is user:
                return channel
        channel = Channel(self.new_id(), DIRECT, user.name, self, self.now(), recipient=user)
        self.channels[channel.id] = channel
        return channel

    def _enter(self, channel: Channel, event: str) -> None:
        self.channels[channel.id] = channel
        if channel.guild is not None:
            channel.guild.channels[channel.id] = channel
        self.changed(event, channel)

    def delete_channel(self, channel: Channel) -> None:
        for thread in list(channel.threads):
            self.delete_channel(thread)
        channel.deleted = True
        self.channels.pop(channel.id, None)
        if channel.guild is not None:
            channel.guild.channels.pop(channel.id, None)
        self.changed("THREAD_DELETE" if channel.is_thread else "CHANNEL_DELETE", channel)

    def set_bot_permissions(self, channel: Channel, bits: int) -> None:
        """A thread has no permissions of its own: its parent's are set."""
        place = channel.parent or channel
        place.bot_permissions = bits
        self.changed("CHANNEL_UPDATE", place)

    def store_file(self, upload: Upload, *, folder: str, ephemeral: bool = False) -> StoredFile:
        return self.files.put(upload, file_id=self.new_id(), folder=folder, ephemeral=ephemeral)

    def add_message(self, message: Message) -> None:
        if not message.ephemeral:
            message.channel.by_id[message.id] = message
        self.changed("MESSAGE_CREATE", message)

    def message_edited(self, message: Message, text_before: str) -> None:
        message.edited_at = self.now()
        if message.text != text_before:
            message.edits.append(text_before)
        self.changed("MESSAGE_UPDATE", message)

    def delete_message(self, message: Message) -> None:
        message.deleted = True
        self.drop_files(message.files)
        self.changed("MESSAGE_DELETE", message)

    def drop_files(self, files: Sequence[StoredFile]) -> None:
        for stored in files:
            self.files.remove(stored)

    def said_before(self, channel: Channel, author: User, nonce: str) -> Message | None:
        """The message the same author made with this nonce within the window."""
        known = self._nonces.get((channel.id, author.id, nonce))
        if known is None or (self.now() - known[0]).total_seconds() > self.nonce_window_s:
            return None
        return known[1]

    def remember_nonce(self, message: Message) -> None:
        self._nonces[message.channel.id, message.author.id, str(message.nonce)] = (self.now(), message)

    def forget_nonces(self) -> None:
        self._nonces.clear()
