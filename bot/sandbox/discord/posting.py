"""Making and editing messages from a request: files, components, pings, replies and nonces."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.discord import permissions, rules
from bot.sandbox.discord.components import EPHEMERAL_FLAG, LOADING_FLAG, V2_FLAG, Component, media_of, ordinal_ids
from bot.sandbox.discord.errors import invalid_form, reply_needs_history, thread_archived, too_large
from bot.sandbox.discord.files import StoredFile, Upload, safe_name
from bot.sandbox.discord.interaction import COMMAND, Interaction
from bot.sandbox.discord.mentions import pings_of
from bot.sandbox.discord.message import ATTACHMENT_SCHEME, Message
from bot.sandbox.discord.people import Channel, User
from bot.sandbox.discord.rules_messages import FILES_MAX, check_message, require_substance
from bot.sandbox.discord.world import World

REPLY, COMMAND_ANSWER = 19, 20
FLAGS_ON_CREATE = 1 << 2 | 1 << 12 | V2_FLAG
FLAGS_ON_EDIT = 1 << 2 | V2_FLAG
OWN_CDN_LINK = re.compile(r"/attachments/\d+/(\d+)/[^/?]+")


@dataclass(frozen=True)
class Draft:
    """What the bot sent: the JSON part and the files by their index."""

    payload: dict[str, Any]
    uploads: Mapping[int, Upload] = field(default_factory=dict)


class Posting:
    """The rules shared by channel messages and interaction answers."""

    def __init__(self, world: World) -> None:
        self._world = world

    def post(self, channel: Channel, draft: Draft) -> Message:
        """A message of the bot by its own token: permissions, nonce, reply, pings."""
        payload = draft.payload
        with_embeds = bool(payload.get("embeds"))
        permissions.require_send(channel, with_files=bool(draft.uploads), with_embeds=with_embeds)
        nonce = payload.get("nonce")
        if nonce is not None and payload.get("enforce_nonce"):
            before = self._world.said_before(channel, self._world.bot, str(nonce))
            if before is not None:
                return before
        reference = self._referenced(channel, payload.get("message_reference"))
        if channel.locked:
            raise thread_archived()
        if channel.archived:
            channel.unarchive()
        message = self.create(channel, draft, flags=(payload.get("flags") or 0) & FLAGS_ON_CREATE, reference=reference)
        if nonce is not None:
            message.nonce = nonce
            self._world.remember_nonce(message)
        return message

    def create(
        self,
        channel: Channel,
        draft: Draft,
        *,
        flags: int,
        reference: Message | None = None,
        interaction: Interaction | None = None,
    ) -> Message:
        payload = draft.payload
        check_message(payload, is_v2=bool(flags & V2_FLAG))
        message = Message(self._world.new_id(), channel, self._world.bot, self._world.now(), flags=flags)
        message.reference = reference
        message.kind = REPLY if reference else 0
        if interaction is not None:
            _tie(message, interaction)
        self._fill(message, draft, is_v2=message.is_v2)
        self._ping(message, payload)
        self._world.add_message(message)
        return message

    def placeholder(self, channel: Channel, interaction: Interaction, *, ephemeral: bool) -> Message:
        """The "thinking" message of a deferred answer."""
        flags = LOADING_FLAG | (EPHEMERAL_FLAG if ephemeral else 0)
        message = Message(self._world.new_id(), channel, self._world.bot, self._world.now(), flags=flags)
        _tie(message, interaction)
        self._world.add_message(message)
        return message

    def edit(self, message: Message, draft: Draft) -> Message:
        """A partial edit: what the request leaves out stays; a V2 message stays one."""
        payload, before = draft.payload, message.text
        asked = message.flags if payload.get("flags") is None else payload["flags"]
        leaves_v2 = message.is_v2 and not asked & V2_FLAG
        rules.must(not leaves_v2, "flags", "MESSAGE_FLAGS_INVALID", "The components V2 flag cannot be removed.")
        becomes_v2 = bool(asked & V2_FLAG)
        if becomes_v2 and not message.is_v2:
            self._require_no_remains(message, payload)
        check_message(payload, is_v2=becomes_v2)
        loading = message.loading
        self._fill(message, draft, is_v2=becomes_v2)
        message.flags = (message.flags & ~(FLAGS_ON_EDIT | LOADING_FLAG)) | (asked & FLAGS_ON_EDIT)
        if loading:
            self._ping(message, payload)
        self._world.message_edited(message, before)
        return message

    @staticmethod
    def _require_no_remains(message: Message, payload: Mapping[str, Any]) -> None:
        for key, value in (("content", message.content), ("embeds", message.embeds)):
            gone = not value or (key in payload and not payload[key])
            rules.must(gone, key, "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", f"The {key} must go first.")

    def _fill(self, message: Message, draft: Draft, *, is_v2: bool) -> None:
        """All or nothing: everything is checked before the message changes."""
        payload = draft.payload
        _check_sizes(message, draft)
        content = (payload["content"] or "") if "content" in payload else message.content
        embeds = (payload["embeds"] or []) if "embeds" in payload else message.embeds
        files = self._files_after(message, draft)
        components = message.stored_components
        if "components" in payload:
            components = copy.deepcopy(payload["components"] or [])
        ordinal_ids(components)
        names = {stored.filename for stored in files}
        for place, media, _ in media_of(components):
            self._resolve_media(place, media, message, names)
        shown_files = 0 if is_v2 else len(files)
        require_substance(content=content, components=components, embeds=embeds, files=shown_files)
        self._world.drop_files([stored for stored in message.files if stored not in files])
        message.content, message.embeds = content, embeds
        message.stored_components, message.files = components, files

    @staticmethod
    def _resolve_media(place: str, media: Component, message: Message, names: set[str]) -> None:
        """A reference must exist; the message's own CDN address becomes a reference again."""
        url = media["url"]
        link = OWN_CDN_LINK.search(url)
        own = next((f for f in message.files if link and f.id == int(link[1])), None)
        if own is not None:
            url = ATTACHMENT_SCHEME + own.filename
        if url.startswith(ATTACHMENT_SCHEME):
            name = safe_name(url.removeprefix(ATTACHMENT_SCHEME))
            if name not in names:
                code = "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND"
                raise invalid_form(f"{place}.url", code, "The referenced attachment was not found")
            url = ATTACHMENT_SCHEME + name
        media.clear()
        media["url"] = url

    def _files_after(self, message: Message, draft: Draft) -> list[StoredFile]:
        """`attachments` lists what stays and describes what comes; without it all stays and all uploads come."""
        listed = draft.payload.get("attachments")
        kept = list(message.files)
        coming = [upload for _, upload in sorted(draft.uploads.items())]
        if listed is not None:
            stored = {old.id: old for old in message.files}
            kept = [stored[int(entry["id"])] for entry in listed if int(entry["id"]) in stored]
            new = [(index, entry) for index, entry in enumerate(listed) if int(entry["id"]) not in stored]
            coming = [_described(f"attachments.{index}.id", entry, draft) for index, entry in new]
        rules.length("attachments", [*kept, *coming], 0, FILES_MAX)
        folder = f"attachments/{message.channel.id}"
        return kept + [self._world.store_file(upload, folder=folder) for upload in coming]

    def _referenced(self, channel: Channel, reference: Mapping[str, Any] | None) -> Message | None:
        if reference is None:
            return None
        if not permissions.bot_permissions(channel) & permissions.READ_MESSAGE_HISTORY:
            raise reply_needs_history()
        found = channel.by_id.get(int(reference["message_id"]))
        if found is not None and not found.deleted:
            return found
        if reference.get("fail_if_not_exists", True) is not False:
            raise invalid_form("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")
        return None

    def _ping(self, message: Message, payload: Mapping[str, Any]) -> None:
        """Edits never ping, private answers never do; else the text and the reply may."""
        if message.ephemeral:
            return
        replied_to: User | None = message.reference.author if message.reference else None
        allowed = payload.get("allowed_mentions")
        pings = pings_of(message.text, allowed, channel=message.channel, replied_to=replied_to)
        message.pings, message.pings_everyone = pings.users, pings.everyone


def _described(where: str, entry: Mapping[str, Any], draft: Draft) -> Upload:
    """An upload under the name and with the description its entry in `attachments` gives it."""
    index = int(entry["id"])
    if index not in draft.uploads:
        raise invalid_form(where, "ATTACHMENT_NOT_FOUND", f"Attachment data not found for attachment {index}.")
    upload = draft.uploads[index]
    return Upload(entry.get("filename") or upload.filename, upload.data, entry.get("description"))


def _check_sizes(message: Message, draft: Draft) -> None:
    limit = (message.interaction or message.channel).upload_bytes_max
    if any(len(upload.data) > limit for upload in draft.uploads.values()):
        raise too_large()


def _tie(message: Message, interaction: Interaction) -> None:
    message.interaction = interaction
    message.watchers.add(interaction.bell)
    if interaction.kind == COMMAND:
        message.kind = COMMAND_ANSWER
