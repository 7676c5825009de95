"""The tree of message and modal components: walking it, and what its numbers mean."""

from collections.abc import Iterator, Sequence
from typing import Any

Component = dict[str, Any]

ACTION_ROW, BUTTON, STRING_SELECT, TEXT_INPUT = 1, 2, 3, 4
SELECTS = (3, 5, 6, 7, 8)
SECTION, TEXT_DISPLAY, THUMBNAIL, GALLERY, FILE, SEPARATOR = 9, 10, 11, 12, 13, 14
CONTAINER, LABEL, FILE_UPLOAD = 17, 18, 19
RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX = 21, 22, 23
LINK_STYLE = 5

V2_FLAG = 1 << 15
EPHEMERAL_FLAG = 1 << 6
LOADING_FLAG = 1 << 7


def walk(components: Sequence[Component], where: str = "components") -> Iterator[tuple[str, Component]]:
    """Every component with its dotted place, parents before children."""
    for index, component in enumerate(components):
        place = f"{where}.{index}"
        yield place, component
        yield from walk(component.get("components") or (), f"{place}.components")
        for key in ("accessory", "component"):
            if isinstance(component.get(key), dict):
                yield f"{place}.{key}", component[key]


def media_of(components: Sequence[Component]) -> Iterator[tuple[str, Component, Component]]:
    """Every `media` object with its dotted place and the item, thumbnail or file that holds it, in reading order."""
    for place, component in walk(components):
        kind = component.get("type")
        if kind == GALLERY:
            for index, item in enumerate(component.get("items") or ()):
                yield f"{place}.items.{index}.media", item["media"], item
        elif kind == THUMBNAIL:
            yield f"{place}.media", component["media"], component
        elif kind == FILE:
            yield f"{place}.file", component["file"], component


def texts_of(components: Sequence[Component]) -> list[str]:
    return [component.get("content", "") for _, component in walk(components) if component.get("type") == TEXT_DISPLAY]


def interactive(components: Sequence[Component]) -> Iterator[Component]:
    """What a member can press or choose from."""
    return (c for _, c in walk(components) if c.get("type") == BUTTON or c.get("type") in SELECTS)


def ordinal_ids(components: Sequence[Component]) -> None:
    """Discord numbers the components that came without an `id`."""
    taken = {component["id"] for _, component in walk(components) if component.get("id")}
    number = 0
    for _, component in walk(components):
        if component.get("id"):
            continue
        number += 1
        while number in taken:
            number += 1
        component["id"] = number
