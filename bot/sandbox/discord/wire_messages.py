"""Messages, their attachments and components as the JSON Discord sends, every address freshly signed."""

import copy
from typing import Any

from bot.sandbox.discord.components import (
    BUTTON,
    CONTAINER,
    FILE,
    GALLERY,
    SELECTS,
    SEPARATOR,
    THUMBNAIL,
    Component,
    media_of,
    walk,
)
from bot.sandbox.discord.files import StoredFile
from bot.sandbox.discord.links import Links
from bot.sandbox.discord.message import Message
from bot.sandbox.discord.wire import JSON, stamp, user_json

DEFAULTS: dict[int, dict[str, Any]] = {
    CONTAINER: {"accent_color": None, "spoiler": False},
    THUMBNAIL: {"description": None, "spoiler": False},
    FILE: {"spoiler": False, "name": None, "size": None},
    SEPARATOR: {"divider": True, "spacing": 1},
    BUTTON: {"style": 2},
    **{kind: {"min_values": 1, "max_values": 1} for kind in SELECTS},
}


def attachment_json(stored: StoredFile, links: Links) -> JSON:
    body: JSON = {
        "id": str(stored.id),
        "filename": stored.filename,
        "size": len(stored.data),
        "url": links.sign(stored),
        "proxy_url": links.sign(stored, proxy=True),
    }
    optional = {
        "content_type": stored.content_type,
        "width": stored.width,
        "height": stored.height,
        "description": stored.description,
        "ephemeral": stored.ephemeral or None,
    }
    return body | {key: value for key, value in optional.items() if value is not None}


def attachments_json(message: Message) -> list[JSON]:
    """A V2 message never lists its attachments; their addresses stand in its components."""
    if message.is_v2:
        return []
    return [attachment_json(stored, message.channel.world.links) for stored in message.files]


def components_json(message: Message) -> list[Component]:
    components = copy.deepcopy(message.stored_components)
    for _, component in walk(components):
        for key, value in DEFAULTS.get(component["type"], {}).items():
            component.setdefault(key, value)
        if component["type"] == GALLERY:
            for item in component["items"]:
                item.setdefault("description", None)
                item.setdefault("spoiler", False)
        if component["type"] == FILE and (stored := message.file_named(component["file"]["url"])):
            component |= {"name": stored.filename, "size": len(stored.data)}
        for chosen in component.get("default_values") or ():
            chosen["id"] = str(chosen["id"])
    for _, media, _ in media_of(components):
        _fill_media(media, message)
    return components


def _fill_media(media: JSON, message: Message) -> None:
    stored = message.file_named(media["url"])
    if stored is None:
        media |= {"id": "0", "proxy_url": media["url"], "width": None, "height": None, "content_type": None}
        return
    links = message.channel.world.links
    media |= {
        "id": str(stored.id),
        "url": links.sign(stored),
        "proxy_url": links.sign(stored, proxy=True),
        "width": stored.width,
        "height": stored.height,
        "content_type": stored.content_type,
        "attachment_id": str(stored.id),
    }


def message_json(message: Message, *, with_reference: bool = True) -> JSON:
    body: JSON = {
        "id": str(message.id),
        "type": message.kind,
        "channel_id": str(message.channel.id),
        "author": user_json(message.author),
        "content": message.content,
        "timestamp": stamp(message.created_at),
        "edited_timestamp": stamp(message.edited_at) if message.edited_at else None,
        "tts": False,
        "pinned": False,
        "mention_everyone": message.pings_everyone,
        "mentions": [user_json(user) for user in message.pings],
        "mention_roles": [],
        "attachments": attachments_json(message),
        "embeds": [{"type": "rich", **embed} for embed in message.embeds],
        "flags": message.flags,
        "components": components_json(message),
    }
    if message.nonce is not None:
        body["nonce"] = message.nonce
    if message.interaction is not None:
        body |= _interaction_part(message)
    if message.reference is not None and with_reference:
        body |= _reference_part(message.reference)
    return body


def _interaction_part(message: Message) -> JSON:
    application_id = str(message.channel.world.application_id)
    part: JSON = {"application_id": application_id, "webhook_id": application_id}
    if message.interaction is not None:
        part["interaction_metadata"] = message.interaction.metadata_json()
    return part


def _reference_part(referenced: Message) -> JSON:
    reference: JSON = {"type": 0, "channel_id": str(referenced.channel.id), "message_id": str(referenced.id)}
    if referenced.channel.guild is not None:
        reference["guild_id"] = str(referenced.channel.guild.id)
    return {
        "message_reference": reference,
        "referenced_message": None if referenced.deleted else message_json(referenced, with_reference=False),
    }
