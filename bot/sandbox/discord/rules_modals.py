"""What Discord refuses in a modal, beyond what its OpenAPI document can say."""

from typing import Any

from bot.sandbox.discord import rules
from bot.sandbox.discord.components import (
    ACTION_ROW,
    CHECKBOX,
    CHECKBOX_GROUP,
    FILE_UPLOAD,
    LABEL,
    RADIO_GROUP,
    SELECTS,
    TEXT_DISPLAY,
    TEXT_INPUT,
    Component,
    walk,
)

ROWS_MAX = 5
TEXT_CHARS_MAX = 4000
TOP_LEVEL = {ACTION_ROW, LABEL, TEXT_DISPLAY}
IN_LABEL = {TEXT_INPUT, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX, *SELECTS}


def check_modal(modal: dict[str, Any]) -> None:
    rules.length("data.title", modal.get("title"), 1, 45)
    rules.custom_id("data", modal.get("custom_id"))
    rows = modal.get("components") or []
    rules.length("data.components", rows, 1, ROWS_MAX)
    for index, row in enumerate(rows):
        _check_row(f"data.components.{index}", row)
    ids = [component["custom_id"] for _, component in walk(rows) if component.get("custom_id")]
    rules.unique("data.components", ids, "custom_id")


def _check_row(where: str, row: Component) -> None:
    kind = row.get("type")
    rules.must(kind in TOP_LEVEL, f"{where}.type", "UNION_TYPE_CHOICES", f"Must be one of {sorted(TOP_LEVEL)}.")
    if kind == ACTION_ROW:
        inside = row.get("components") or []
        rules.length(f"{where}.components", inside, 1, 1)
        rules.must(inside[0].get("type") == TEXT_INPUT, where, "UNION_TYPE_CHOICES", "A row holds a text input.")
        rules.length(f"{where}.components.0.label", inside[0].get("label"), 1, 45)
        _check_field(f"{where}.components.0", inside[0])
    elif kind == LABEL:
        rules.length(f"{where}.label", row.get("label"), 1, 45)
        rules.length(f"{where}.description", row.get("description"), 0, 100)
        field = row.get("component") or {}
        rules.must(field.get("type") in IN_LABEL, f"{where}.component", "UNION_TYPE_CHOICES", "No such field.")
        _check_field(f"{where}.component", field)


def _check_field(where: str, field: Component) -> None:
    rules.custom_id(where, field.get("custom_id"))
    kind = field.get("type")
    if kind == TEXT_INPUT:
        rules.in_range(f"{where}.min_length", field.get("min_length"), 0, TEXT_CHARS_MAX)
        rules.in_range(f"{where}.max_length", field.get("max_length"), 1, TEXT_CHARS_MAX)
        rules.length(f"{where}.value", field.get("value"), 0, TEXT_CHARS_MAX)
        rules.length(f"{where}.placeholder", field.get("placeholder"), 0, 100)
    elif kind == FILE_UPLOAD:
        rules.in_range(f"{where}.min_values", field.get("min_values"), 0, 10)
        rules.in_range(f"{where}.max_values", field.get("max_values"), 1, 10)
    elif kind in {RADIO_GROUP, CHECKBOX_GROUP}:
        low = 2 if kind == RADIO_GROUP else 1
        rules.length(f"{where}.options", field.get("options"), low, 10)
    elif kind in SELECTS:
        rules.length(f"{where}.placeholder", field.get("placeholder"), 0, 150)
        rules.in_range(f"{where}.max_values", field.get("max_values"), 1, 25)
