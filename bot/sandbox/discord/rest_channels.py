"""REST routes of channels, threads, guilds and messages by the bot's own token."""

from bot.sandbox.discord import permissions
from bot.sandbox.discord.call import Answer, Call
from bot.sandbox.discord.errors import (
    ApiError,
    missing_access,
    missing_permissions,
    not_the_author,
    thread_archived,
    unknown_channel,
    unknown_guild,
    unknown_member,
    unknown_message,
    unknown_user,
)
from bot.sandbox.discord.message import Message
from bot.sandbox.discord.people import PRIVATE_THREAD, Channel, Guild
from bot.sandbox.discord.pipeline import Route
from bot.sandbox.discord.posting import Posting
from bot.sandbox.discord.wire import channel_json, guild_json, member_json
from bot.sandbox.discord.wire_messages import message_json
from bot.sandbox.discord.world import World

LIMIT_DEFAULT, LIMIT_MAX = 50, 100


class ChannelRoutes:
    """Every handler first finds its channel, then asks what the bot may do there."""

    def __init__(self, world: World, posting: Posting) -> None:
        self._world = world
        self._posting = posting

    def routes(self) -> list[Route]:
        one, many = "/channels/{channel_id}/messages/{message_id}", "/channels/{channel_id}/messages"
        return [
            Route("GET", "/channels/{channel_id}", self.get_channel),
            Route("PATCH", "/channels/{channel_id}", self.edit_channel),
            Route("GET", "/guilds/{guild_id}", self.get_guild),
            Route("GET", "/guilds/{guild_id}/members/{user_id}", self.get_member),
            Route("GET", many, self.list_messages),
            Route("POST", many, self.post_message),
            Route("GET", one, self.get_message),
            Route("PATCH", one, self.edit_message),
            Route("DELETE", one, self.delete_message),
            Route("POST", "/channels/{channel_id}/typing", self.typing),
            Route("POST", "/channels/{channel_id}/threads", self.start_thread),
            Route("POST", f"{one}/threads", self.start_thread_at_message),
            Route("POST", "/users/@me/channels", self.open_dm),
        ]

    def _channel(self, call: Call) -> Channel:
        channel = self._world.channels.get(call.number("channel_id"))
        if channel is None:
            raise unknown_channel()
        permissions.require_view(channel)
        return channel

    def _message(self, call: Call) -> Message:
        message = self._channel(call).by_id.get(call.number("message_id"))
        if message is None or message.deleted:
            raise unknown_message()
        return message

    def get_channel(self, call: Call) -> Answer:
        return Answer(200, channel_json(self._channel(call)))

    def edit_channel(self, call: Call) -> Answer:
        """Only what a bot does to a thread: opening, closing, renaming."""
        channel = self._channel(call)
        if not channel.is_thread:
            raise missing_permissions()
        channel.name = call.form.get("name", channel.name)
        channel.archived = call.form.get("archived", channel.archived)
        channel.locked = call.form.get("locked", channel.locked)
        self._world.changed("THREAD_UPDATE", channel)
        return Answer(200, channel_json(channel))

    def _guild(self, call: Call) -> Guild:
        guild = self._world.guilds.get(call.number("guild_id"))
        if guild is None:
            raise unknown_guild()
        if not guild.has_bot:
            raise missing_access()
        return guild

    def get_member(self, call: Call) -> Answer:
        guild = self._guild(call)
        member = guild.members.get(call.number("user_id"))
        if member is None:
            raise unknown_member()
        return Answer(200, member_json(guild, member))

    def get_guild(self, call: Call) -> Answer:
        guild = self._guild(call)
        body = guild_json(guild)
        if call.query.get("with_counts", "").lower() in {"1", "true"}:
            body |= {"approximate_member_count": len(guild.members), "approximate_presence_count": len(guild.members)}
        return Answer(200, body)

    def list_messages(self, call: Call) -> Answer:
        """Newest first; without the permission to read history Discord says that there is nothing."""
        channel = self._channel(call)
        if not permissions.bot_permissions(channel) & permissions.READ_MESSAGE_HISTORY:
            return Answer(200, [])
        limit = int(call.query.get("limit", LIMIT_DEFAULT))
        if not 1 <= limit <= LIMIT_MAX:
            raise ApiError(400, 50035, "Invalid Form Body", {"limit": {"_errors": []}})
        found = _page(sorted(channel.messages, key=lambda message: message.id), call, limit)
        return Answer(200, [message_json(message) for message in reversed(found)])

    def get_message(self, call: Call) -> Answer:
        message = self._message(call)
        if not permissions.bot_permissions(message.channel) & permissions.READ_MESSAGE_HISTORY:
            raise missing_access()
        return Answer(200, message_json(message))

    def post_message(self, call: Call) -> Answer:
        return Answer(200, message_json(self._posting.post(self._channel(call), call.draft)))

    def edit_message(self, call: Call) -> Answer:
        message = self._message(call)
        if message.author is not self._world.bot:
            raise not_the_author()
        if message.channel.archived or message.channel.locked:
            raise thread_archived()
        if call.uploads and not permissions.bot_permissions(message.channel) & permissions.ATTACH_FILES:
            raise missing_permissions()
        return Answer(200, message_json(self._posting.edit(message, call.draft)))

    def delete_message(self, call: Call) -> Answer:
        message = self._message(call)
        mine = message.author is self._world.bot
        if not mine and not permissions.bot_permissions(message.channel) & permissions.MANAGE_MESSAGES:
            raise missing_permissions()
        message.delete()
        return Answer(204)

    def typing(self, call: Call) -> Answer:
        permissions.require_send(self._channel(call), with_files=False, with_embeds=False)
        return Answer(204)

    def start_thread(self, call: Call) -> Answer:
        channel = self._channel(call)
        private = call.form.get("type") == PRIVATE_THREAD
        needed = permissions.CREATE_PRIVATE_THREADS if private else permissions.CREATE_PUBLIC_THREADS
        return self._start_thread(channel, call.form["name"], needed, private=private)

    def start_thread_at_message(self, call: Call) -> Answer:
        channel = self._message(call).channel
        return self._start_thread(channel, call.form["name"], permissions.CREATE_PUBLIC_THREADS, private=False)

    def _start_thread(self, channel: Channel, name: str, needed: int, *, private: bool) -> Answer:
        if not permissions.bot_permissions(channel) & needed:
            raise missing_permissions()
        thread = channel.add_thread(name, private=private)
        thread.creator = self._world.bot
        return Answer(201, channel_json(thread))

    def open_dm(self, call: Call) -> Answer:
        user = self._world.users.get(int(call.form.get("recipient_id") or 0))
        if user is None or user.bot:
            raise unknown_user()
        return Answer(200, channel_json(user.dm))


def _page(messages: list[Message], call: Call, limit: int) -> list[Message]:
    """Oldest first: the messages around, after or before an id, or the newest."""
    if "around" in call.query:
        pivot = int(call.query["around"])
        older = [message for message in messages if message.id <= pivot]
        newer = [message for message in messages if message.id > pivot]
        return older[-(limit // 2 + 1) :] + newer[: (limit - 1) // 2]
    if "after" in call.query:
        return [message for message in messages if message.id > int(call.query["after"])][:limit]
    if "before" in call.query:
        messages = [message for message in messages if message.id < int(call.query["before"])]
    return messages[-limit:]
