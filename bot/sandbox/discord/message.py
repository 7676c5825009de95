"""A message as it stands: what was said, with which files, whom it pinged, and how it changed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from bot.sandbox.discord.bell import Bell
from bot.sandbox.discord.components import (
    BUTTON,
    EPHEMERAL_FLAG,
    LINK_STYLE,
    LOADING_FLAG,
    V2_FLAG,
    Component,
    media_of,
    texts_of,
    walk,
)
from bot.sandbox.discord.files import StoredFile
from bot.sandbox.discord.people import Channel, User

if TYPE_CHECKING:
    from bot.sandbox.discord.interaction import Interaction

ATTACHMENT_SCHEME = "attachment://"


class Media(NamedTuple):
    """A file a reader of the message sees, at its signed address."""

    url: str
    filename: str
    content_type: str | None
    size: int
    description: str | None


class Button(NamedTuple):
    """A button on a message."""

    label: str
    custom_id: str | None
    style: int
    disabled: bool
    url: str | None


@dataclass(eq=False)
class Message:
    """`components` are as Discord keeps them: files stand in them as `attachment://name`."""

    id: int
    channel: Channel
    author: User
    created_at: datetime
    content: str = ""
    flags: int = 0
    kind: int = 0
    stored_components: list[Component] = field(default_factory=list, repr=False)
    embeds: list[dict[str, Any]] = field(default_factory=list, repr=False)
    files: list[StoredFile] = field(default_factory=list, repr=False)
    reference: "Message | None" = field(default=None, repr=False)
    interaction: "Interaction | None" = field(default=None, repr=False)
    nonce: str | int | None = None
    pings: list[User] = field(default_factory=list)
    pings_everyone: bool = False
    deleted: bool = False
    edited_at: datetime | None = None
    edits: list[str] = field(default_factory=list, repr=False)
    watchers: set[Bell] = field(default_factory=set, repr=False)

    @property
    def is_v2(self) -> bool:
        return bool(self.flags & V2_FLAG)

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL_FLAG)

    @property
    def loading(self) -> bool:
        """The bot deferred and has not answered yet."""
        return bool(self.flags & LOADING_FLAG)

    @property
    def text(self) -> str:
        """All a reader can read: the content, or every text display of a V2 message."""
        return "\n".join(part for part in [self.content, *texts_of(self.stored_components)] if part)

    @property
    def components(self) -> list[Component]:
        """As Discord sends them, with freshly signed addresses."""
        from bot.sandbox.discord.wire_messages import components_json

        return components_json(self)

    @property
    def attachments(self) -> list[dict[str, Any]]:
        """As Discord sends them: always empty on a V2 message."""
        from bot.sandbox.discord.wire_messages import attachments_json

        return attachments_json(self)

    @property
    def media(self) -> list[Media]:
        """The files a reader sees, in order: those a V2 message shows, or all of an ordinary message."""
        sign = self.channel.world.links.sign
        return [
            Media(sign(stored), stored.filename, stored.content_type, len(stored.data), description)
            for stored, description in self.shown_files()
        ]

    @property
    def buttons(self) -> list[Button]:
        return [
            Button(c.get("label") or "", c.get("custom_id"), c["style"], bool(c.get("disabled")), c.get("url"))
            for _, c in walk(self.stored_components)
            if c.get("type") == BUTTON
        ]

    @property
    def link_buttons(self) -> list[Button]:
        return [button for button in self.buttons if button.style == LINK_STYLE]

    def shown_files(self) -> Iterator[tuple[StoredFile, str | None]]:
        """Each file with its alternative text, which a V2 message may give in its gallery."""
        if not self.is_v2:
            yield from ((stored, stored.description) for stored in self.files)
            return
        for _, media, holder in media_of(self.stored_components):
            stored = self.file_named(media["url"])
            if stored is not None:
                yield stored, holder.get("description") or stored.description

    def file_named(self, url: str) -> StoredFile | None:
        """The file an `attachment://name` means, or None for any other address."""
        if not url.startswith(ATTACHMENT_SCHEME):
            return None
        name = url.removeprefix(ATTACHMENT_SCHEME)
        return next((stored for stored in self.files if stored.filename == name), None)

    def delete(self) -> None:
        self.channel.world.delete_message(self)
