"""What Discord refuses in a message beyond what its OpenAPI document can say."""

from collections.abc import Callable, Sequence
from typing import Any

from bot.sandbox.discord import rules
from bot.sandbox.discord.components import (
    ACTION_ROW,
    BUTTON,
    CONTAINER,
    FILE,
    GALLERY,
    LINK_STYLE,
    SECTION,
    SELECTS,
    SEPARATOR,
    STRING_SELECT,
    TEXT_DISPLAY,
    THUMBNAIL,
    Component,
    media_of,
    texts_of,
    walk,
)
from bot.sandbox.discord.errors import empty_message

CONTENT_CHARS_MAX = 2000
DISPLAY_CHARS_MAX = 4000
COMPONENTS_MAX = 40
ROWS_MAX = 5
FILES_MAX = 10
EMBEDS_MAX = 10
EMBED_CHARS_MAX = 6000
PREMIUM_STYLE = 6
MEDIA_SCHEMES = ("attachment://", "https://", "http://")
NOT_WITH_V2 = ("content", "embeds", "poll", "sticker_ids")
TOP_LEVEL_V2 = {ACTION_ROW, SECTION, TEXT_DISPLAY, GALLERY, FILE, SEPARATOR, CONTAINER}
IN_CONTAINER = TOP_LEVEL_V2 - {CONTAINER}


def check_message(payload: dict[str, Any], *, is_v2: bool) -> None:
    """The parts of a create or edit request that are there, against the rules of its kind of message."""
    components = payload.get("components") or []
    if is_v2:
        for key in NOT_WITH_V2:
            rules.must(
                not payload.get(key),
                key,
                "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                f"The {key} field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
            )
        _check_tree_v2(components)
    else:
        rules.length("content", payload.get("content"), 0, CONTENT_CHARS_MAX)
        _check_rows(components)
    check_components(components)
    _check_embeds(payload.get("embeds") or [])


def require_substance(*, content: str, components: Sequence[Component], embeds: Sequence[Any], files: int) -> None:
    if not (content.strip() or components or embeds or files):
        raise empty_message()


def check_components(components: Sequence[Component]) -> None:
    """What holds for buttons, selects, galleries and texts wherever they stand."""
    for place, component in walk(components):
        check = CHECKS.get(component.get("type", 0))
        if check is not None:
            check(place, component)
    for place, media, _ in media_of(components):
        known = str(media.get("url", "")).startswith(MEDIA_SCHEMES)
        rules.must(known, f"{place}.url", "URL_TYPE_INVALID_SCHEME", "Scheme must be attachment, http or https.")
    ids = [c["custom_id"] for _, c in walk(components) if c.get("custom_id")]
    rules.unique("components", ids, "custom_id")
    numbers = [c["id"] for _, c in walk(components) if c.get("id")]
    rules.unique("components", numbers, "component id")


def _check_tree_v2(components: Sequence[Component]) -> None:
    count = sum(1 for _ in walk(components))
    rules.must(count <= COMPONENTS_MAX, "components", "BASE_TYPE_BAD_LENGTH", f"At most {COMPONENTS_MAX} components.")
    characters = sum(len(text) for text in texts_of(components))
    rules.must(
        characters <= DISPLAY_CHARS_MAX,
        "components",
        "COMPONENT_MAX_TOTAL_TEXT",
        f"At most {DISPLAY_CHARS_MAX} characters of text in all.",
    )
    _allow_kinds("components", components, TOP_LEVEL_V2)


def _check_rows(components: Sequence[Component]) -> None:
    rules.length("components", components, 0, ROWS_MAX)
    _allow_kinds("components", components, {ACTION_ROW})


def _allow_kinds(where: str, components: Sequence[Component], allowed: set[int]) -> None:
    for index, component in enumerate(components):
        fits = component.get("type") in allowed
        rules.must(fits, f"{where}.{index}.type", "UNION_TYPE_CHOICES", f"Must be one of {sorted(allowed)}.")


def _row(where: str, row: Component) -> None:
    inside = row.get("components") or []
    rules.length(f"{where}.components", inside, 1, 5)
    _allow_kinds(f"{where}.components", inside, {BUTTON, *SELECTS})
    if any(c.get("type") in SELECTS for c in inside):
        rules.length(f"{where}.components", inside, 1, 1)


def _button(where: str, button: Component) -> None:
    rules.length(f"{where}.label", button.get("label"), 0, 80)
    style = button.get("style")
    if style == PREMIUM_STYLE:
        return
    named = bool(button.get("label") or button.get("emoji"))
    rules.must(named, where, "BUTTON_COMPONENT_LABEL_REQUIRED", "A button needs a label or an emoji.")
    if style == LINK_STYLE:
        rules.must(
            bool(button.get("url")) and not button.get("custom_id"),
            where,
            "BUTTON_COMPONENT_LINK",
            "A url, no custom_id.",
        )
        rules.length(f"{where}.url", button.get("url"), 1, 512)
    else:
        rules.must(not button.get("url"), where, "BUTTON_COMPONENT_URL", "A url only with the link style.")
        rules.custom_id(where, button.get("custom_id"))


def _select(where: str, select: Component) -> None:
    rules.custom_id(where, select.get("custom_id"))
    rules.length(f"{where}.placeholder", select.get("placeholder"), 0, 150)
    rules.in_range(f"{where}.min_values", select.get("min_values"), 0, 25)
    rules.in_range(f"{where}.max_values", select.get("max_values"), 1, 25)
    if select.get("type") == STRING_SELECT:
        rules.length(f"{where}.options", select.get("options"), 1, 25)
        rules.unique(f"{where}.options", [option["value"] for option in select["options"]], "option value")
        for index, option in enumerate(select["options"]):
            rules.length(f"{where}.options.{index}.label", option.get("label"), 1, 100)
            rules.length(f"{where}.options.{index}.value", option.get("value"), 1, 100)
            rules.length(f"{where}.options.{index}.description", option.get("description"), 0, 100)


def _section(where: str, section: Component) -> None:
    rules.length(f"{where}.components", section.get("components"), 1, 3)
    _allow_kinds(f"{where}.components", section["components"], {TEXT_DISPLAY})
    accessory = section.get("accessory")
    rules.must(accessory is not None, f"{where}.accessory", "BASE_TYPE_REQUIRED", "This field is required")
    _allow_kinds(f"{where}.accessory", [accessory or {}], {BUTTON, THUMBNAIL})


def _text(where: str, text: Component) -> None:
    rules.length(f"{where}.content", text.get("content"), 1, DISPLAY_CHARS_MAX)


def _gallery(where: str, gallery: Component) -> None:
    rules.length(f"{where}.items", gallery.get("items"), 1, 10)
    for index, item in enumerate(gallery["items"]):
        rules.length(f"{where}.items.{index}.description", item.get("description"), 0, 1024)


def _container(where: str, container: Component) -> None:
    rules.length(f"{where}.components", container.get("components"), 1, COMPONENTS_MAX)
    _allow_kinds(f"{where}.components", container["components"], IN_CONTAINER)
    rules.in_range(f"{where}.accent_color", container.get("accent_color"), 0, 0xFFFFFF)


def _file(where: str, component: Component) -> None:
    local = str(component["file"].get("url", "")).startswith("attachment://")
    rules.must(local, f"{where}.file.url", "URL_TYPE_INVALID_SCHEME", "Scheme must be attachment.")


def _check_embeds(embeds: Sequence[dict[str, Any]]) -> None:
    rules.length("embeds", embeds, 0, EMBEDS_MAX)
    total = 0
    for index, embed in enumerate(embeds):
        fields = embed.get("fields") or []
        rules.length(f"embeds.{index}.title", embed.get("title"), 0, 256)
        rules.length(f"embeds.{index}.description", embed.get("description"), 0, 4096)
        rules.length(f"embeds.{index}.fields", fields, 0, 25)
        texts = [embed.get("title"), embed.get("description"), (embed.get("footer") or {}).get("text")]
        texts += [(embed.get("author") or {}).get("name")]
        for position, entry in enumerate(fields):
            rules.length(f"embeds.{index}.fields.{position}.name", entry.get("name"), 1, 256)
            rules.length(f"embeds.{index}.fields.{position}.value", entry.get("value"), 1, 1024)
            texts += [entry["name"], entry["value"]]
        total += sum(len(text or "") for text in texts)
    rules.must(total <= EMBED_CHARS_MAX, "embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")


CHECKS: dict[int, Callable[[str, Component], None]] = {
    ACTION_ROW: _row,
    BUTTON: _button,
    **dict.fromkeys(SELECTS, _select),
    SECTION: _section,
    TEXT_DISPLAY: _text,
    GALLERY: _gallery,
    FILE: _file,
    CONTAINER: _container,
}
