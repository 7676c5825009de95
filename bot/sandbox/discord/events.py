"""Changes of the world as gateway events: their payloads, their guild, and the intent they need."""

from bot.sandbox.discord.message import Message
from bot.sandbox.discord.people import Channel, Guild
from bot.sandbox.discord.wire import JSON, channel_json, guild_create_json
from bot.sandbox.discord.wire_messages import message_json

GUILDS_INTENT, GUILD_MESSAGES_INTENT, DIRECT_MESSAGES_INTENT = 1 << 0, 1 << 9, 1 << 12


def guild_of(subject: object) -> Guild | None:
    if isinstance(subject, Guild):
        return subject
    if isinstance(subject, Message):
        return subject.channel.guild
    return subject.guild if isinstance(subject, Channel) else None


def bot_sees(subject: object) -> bool:
    """Discord tells a bot nothing of guilds and private threads it is not in, nor of anybody's private answers."""
    if isinstance(subject, Message):
        return not subject.ephemeral and bot_sees(subject.channel)
    if not isinstance(subject, Channel):
        return True
    outside = subject.guild is not None and not subject.guild.has_bot
    return not outside and not (subject.is_private_thread and not subject.bot_is_member)


def needs_intent(event: str, guild: Guild | None) -> int:
    """0 for what every bot gets; an interaction needs no intent."""
    if event.startswith("MESSAGE_"):
        return GUILD_MESSAGES_INTENT if guild is not None else DIRECT_MESSAGES_INTENT
    return GUILDS_INTENT if event.startswith(("GUILD_", "CHANNEL_", "THREAD_")) else 0


def event_json(event: str, subject: object) -> JSON:
    if isinstance(subject, Guild) and event == "GUILD_DELETE":
        # The key is there in an outage only, not when the bot was removed.
        return {"id": str(subject.id), **({"unavailable": True} if subject.has_bot else {})}
    if isinstance(subject, Guild):
        # Joining a guild is told apart from its coming back by the missing `unavailable`.
        return {key: value for key, value in guild_create_json(subject).items() if key != "unavailable"}
    if isinstance(subject, Channel):
        return channel_json(subject)
    if isinstance(subject, Message):
        return _message_event(event, subject)
    raise TypeError(f"no gateway event is about {subject!r}")


def _message_event(event: str, message: Message) -> JSON:
    guild = message.channel.guild
    place: JSON = {"guild_id": str(guild.id)} if guild is not None else {}
    if event == "MESSAGE_DELETE":
        return {"id": str(message.id), "channel_id": str(message.channel.id), **place}
    return {**message_json(message), **place}
