"""Filling in a modal as Discord's client makes a member do it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.discord.components import ACTION_ROW, CHECKBOX, FILE_UPLOAD, LABEL, TEXT_INPUT, Component
from bot.sandbox.discord.errors import SandboxRefusal
from bot.sandbox.discord.files import StoredFile, Upload
from bot.sandbox.discord.options import Store

TEXT_CHARS_MAX = 4000


@dataclass
class ModalForm:
    """A member's values for a modal, and what became of them: the rows as sent, the files they refer to."""

    values: Mapping[str, Any]
    store: Store
    rows: list[Component] = field(default_factory=list)
    files: list[StoredFile] = field(default_factory=list)
    _used: set[str] = field(default_factory=set)

    def fill(self, modal: Mapping[str, Any]) -> None:
        """Values go by custom_id or label; a field that is not named keeps what the bot put into it."""
        for number, row in enumerate(modal["components"], start=1):
            if row["type"] == ACTION_ROW:
                inside = row["components"][0]
                answers = [self._answer(inside, inside.get("label", ""))]
                self.rows.append({"type": ACTION_ROW, "id": number, "components": answers})
            elif row["type"] == LABEL:
                answer = self._answer(row["component"], row["label"])
                self.rows.append({"type": LABEL, "id": number, "component": answer})
        unknown = set(self.values) - self._used
        if unknown:
            raise SandboxRefusal(f"the modal has no field {', '.join(sorted(unknown))}")

    def _answer(self, component: Component, label: str) -> Component:
        custom_id, kind = component["custom_id"], component["type"]
        name = custom_id if custom_id in self.values else label
        given = self.values.get(name)
        self._used.add(name)
        body: Component = {"type": kind, "id": component.get("id") or 0, "custom_id": custom_id}
        if kind == TEXT_INPUT:
            body["value"] = _text(component, name, (component.get("value") or "") if given is None else given)
        elif kind == CHECKBOX:
            body["value"] = bool(given)
        elif kind == FILE_UPLOAD:
            body["values"] = self._uploaded(component, name, given or [])
        else:
            chosen = [given] if isinstance(given, str) else list(given or [])
            _check_count(component, name, chosen)
            body["values"] = chosen
        return body

    def _uploaded(self, component: Component, name: str, uploads: Sequence[Upload]) -> list[str]:
        _check_count(component, name, uploads)
        files = [self.store(upload) for upload in uploads]
        self.files.extend(files)
        return [str(stored.id) for stored in files]


def _text(component: Component, name: str, text: str) -> str:
    if not text:
        if component.get("required", True):
            raise SandboxRefusal(f"the field {name} is required")
        return text
    low, high = component.get("min_length") or 0, component.get("max_length") or TEXT_CHARS_MAX
    if not low <= len(text) <= high:
        raise SandboxRefusal(f"the field {name} takes {low} to {high} characters")
    return text


def _check_count(component: Component, name: str, chosen: Sequence[Any]) -> None:
    required = component.get("required", True)
    if not chosen and not required:
        return
    low, high = component.get("min_values"), component.get("max_values") or 1
    low = max(1 if low is None else low, 1 if required else 0)
    if not low <= len(chosen) <= high:
        raise SandboxRefusal(f"the field {name} takes {low} to {high} values")
    options = [option["value"] for option in component.get("options") or ()]
    wrong = [value for value in chosen if options and value not in options]
    if wrong:
        raise SandboxRefusal(f"the field {name} has no option {wrong[0]}")
