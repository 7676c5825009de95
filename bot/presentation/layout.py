"""The frame of every Components V2 message: one coloured container that never waits for presses itself."""

from collections.abc import Sequence
from enum import IntEnum

from discord import MediaGalleryItem, ui

ALTERNATIVE_TEXT_MAX = 1024


class Accent(IntEnum):
    """One colour per state; Discord draws it as the container's edge."""

    GREY = 0x8B929A
    BLUE = 0x3A7BD5
    GREEN = 0x2E9B5B
    AMBER = 0xD9902F
    RED = 0xC8403A


class Layout(ui.LayoutView):
    """A message that only shows. Its buttons are answered by their custom id, also after a restart."""

    def is_dispatchable(self) -> bool:
        # Otherwise discord.py keeps the view of every card in memory, with a timer each, to wait for a press.
        return False


def boxed(accent: Accent, *items: ui.Item[Layout]) -> Layout:
    layout = Layout(timeout=None)
    layout.add_item(ui.Container(*items, accent_colour=int(accent)))
    return layout


def plain(*items: ui.Item[Layout]) -> Layout:
    layout = Layout(timeout=None)
    for item in items:
        layout.add_item(item)
    return layout


def text(*lines: str) -> ui.TextDisplay[Layout]:
    """Return one text display; empty lines are left out."""
    return ui.TextDisplay("\n".join(line for line in lines if line))


def gallery(addresses: Sequence[str], descriptions: Sequence[str]) -> ui.MediaGallery[Layout]:
    """Return pictures or a video with their alternative texts, each cut to what Discord takes."""
    return ui.MediaGallery(
        *(
            MediaGalleryItem(address, description=description[:ALTERNATIVE_TEXT_MAX])
            for address, description in zip(addresses, descriptions, strict=True)
        )
    )
