"""Permission bits, and what the bot needs them for in a channel."""

from typing import TYPE_CHECKING

from bot.sandbox.discord.errors import cannot_message_user, missing_access, missing_permissions, no_mutual_guild

if TYPE_CHECKING:
    from bot.sandbox.discord.people import Channel

ADD_REACTIONS = 1 << 6
MANAGE_GUILD = 1 << 5
VIEW_CHANNEL = 1 << 10
SEND_MESSAGES = 1 << 11
MANAGE_MESSAGES = 1 << 13
EMBED_LINKS = 1 << 14
ATTACH_FILES = 1 << 15
READ_MESSAGE_HISTORY = 1 << 16
USE_APPLICATION_COMMANDS = 1 << 31
CREATE_PUBLIC_THREADS = 1 << 35
CREATE_PRIVATE_THREADS = 1 << 36
SEND_MESSAGES_IN_THREADS = 1 << 38

BOT_ROLE = VIEW_CHANNEL | SEND_MESSAGES | SEND_MESSAGES_IN_THREADS | EMBED_LINKS | ATTACH_FILES | READ_MESSAGE_HISTORY
EVERYONE = BOT_ROLE | ADD_REACTIONS | USE_APPLICATION_COMMANDS | CREATE_PUBLIC_THREADS
MANAGER = EVERYONE | MANAGE_GUILD | MANAGE_MESSAGES
OWNER = (1 << 53) - 1
IN_DIRECT_MESSAGES = EVERYONE


def bot_permissions(channel: "Channel") -> int:
    """The bot's effective bits in a channel; a thread has its parent's."""
    if channel.guild is None:
        return IN_DIRECT_MESSAGES
    return (channel.parent or channel).bot_permissions


def require_view(channel: "Channel") -> None:
    outside = channel.guild is not None and not channel.guild.has_bot
    hidden_thread = channel.is_private_thread and not channel.bot_is_member
    if outside or hidden_thread or not bot_permissions(channel) & VIEW_CHANNEL:
        raise missing_access()


def require_send(channel: "Channel", *, with_files: bool, with_embeds: bool) -> None:
    if channel.recipient is not None and not channel.recipient.dms_open:
        raise cannot_message_user()
    if channel.recipient is not None and not channel.world.share_guild(channel.recipient):
        raise no_mutual_guild()
    require_view(channel)
    needed = SEND_MESSAGES_IN_THREADS if channel.is_thread else SEND_MESSAGES
    needed |= ATTACH_FILES if with_files else 0
    needed |= EMBED_LINKS if with_embeds else 0
    if bot_permissions(channel) & needed != needed:
        raise missing_permissions()
