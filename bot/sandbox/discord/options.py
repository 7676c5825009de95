"""Filling in a command's options as Discord's client makes a member do it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.discord import rules_commands as kinds
from bot.sandbox.discord.errors import SandboxRefusal
from bot.sandbox.discord.files import StoredFile, Upload
from bot.sandbox.discord.people import Channel, User
from bot.sandbox.discord.rules_commands import Definition

Store = Callable[[Upload], StoredFile]


@dataclass
class Filled:
    """The options as sent, and what they refer to."""

    options: list[dict[str, Any]] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    files: list[StoredFile] = field(default_factory=list)


def find_command(commands: Sequence[Definition], path: str) -> tuple[Definition, list[str], list[Definition]]:
    """The command of `video reference`, the names below it, and the options of the innermost one."""
    name, *below = path.split()
    command = next((c for c in commands if c["name"] == name and c["type"] == kinds.CHAT_INPUT), None)
    if command is None:
        raise SandboxRefusal(f"there is no command /{name} here")
    options: list[Definition] = command.get("options") or []
    for step in below:
        inner = next((o for o in options if o["name"] == step and o["type"] in {kinds.SUBCOMMAND, kinds.GROUP}), None)
        if inner is None:
            raise SandboxRefusal(f"/{name} has no subcommand {step}")
        options = inner.get("options") or []
    if any(option["type"] in {kinds.SUBCOMMAND, kinds.GROUP} for option in options):
        raise SandboxRefusal(f"/{path} needs a subcommand")
    return command, below, options


def wrap(command: Definition, below: Sequence[str], filled: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The options inside their subcommand, inside its group."""
    for depth in range(len(below) - 1, -1, -1):
        kind = kinds.GROUP if depth < len(below) - 1 else kinds.SUBCOMMAND
        filled = [{"type": kind, "name": below[depth], "options": filled}]
    return filled


def fill(
    options: Sequence[Definition], given: Mapping[str, Any], uploads: Mapping[str, Upload], store: Store
) -> Filled:
    known = {option["name"] for option in options}
    for name in [*given, *uploads]:
        if name not in known:
            raise SandboxRefusal(f"there is no option {name}")
    filled = Filled()
    for option in options:
        name = option["name"]
        source: Mapping[str, Any] = uploads if option["type"] == kinds.ATTACHMENT else given
        if name in source:
            value = _value(option, source[name], filled, store)
            filled.options.append({"type": option["type"], "name": name, "value": value})
        elif option.get("required"):
            raise SandboxRefusal(f"the option {name} is required")
    return filled


def fill_partly(options: Sequence[Definition], given: Mapping[str, Any], focused: str) -> list[dict[str, Any]]:
    """For autocomplete: nothing is required yet, the focused option is sent as typed."""
    meant = next((option for option in options if option["name"] == focused), None)
    if meant is None or not meant.get("autocomplete"):
        raise SandboxRefusal(f"the option {focused} does not autocomplete")
    sent = []
    for option in options:
        if option["name"] == focused:
            sent.append({"type": option["type"], "name": focused, "value": given.get(focused, ""), "focused": True})
        elif option["name"] in given:
            sent.append({"type": option["type"], "name": option["name"], "value": given[option["name"]]})
    return sent


def _value(option: Definition, value: Any, filled: Filled, store: Store) -> Any:
    kind, name = option["type"], option["name"]
    if kind == kinds.ATTACHMENT:
        stored = store(value)
        filled.files.append(stored)
        return str(stored.id)
    if kind == kinds.USER and isinstance(value, User):
        filled.users.append(value)
        return str(value.id)
    if kind == kinds.CHANNEL and isinstance(value, Channel):
        filled.channels.append(value)
        return str(value.id)
    if kind in SCALARS:
        _check_scalar(option, value)
        return value
    raise SandboxRefusal(f"the option {name} does not take {value!r}")


SCALARS: dict[int, tuple[type, ...]] = {
    kinds.STRING: (str,),
    kinds.INTEGER: (int,),
    kinds.BOOLEAN: (bool,),
    kinds.NUMBER: (int, float),
}


def _check_scalar(option: Definition, value: Any) -> None:
    kind, name = option["type"], option["name"]
    right = isinstance(value, SCALARS[kind]) and (kind == kinds.BOOLEAN or not isinstance(value, bool))
    if not right:
        raise SandboxRefusal(f"the option {name} does not take {value!r}")
    choices = option.get("choices")
    if choices and value not in [choice["value"] for choice in choices]:
        raise SandboxRefusal(f"{value!r} is not a choice of the option {name}")
    size, low, high = value, option.get("min_value"), option.get("max_value")
    if kind == kinds.STRING:
        size, low, high = len(value), option.get("min_length"), option.get("max_length", kinds.STRING_CHARS_MAX)
        if not value:
            raise SandboxRefusal(f"the option {name} is empty")
    if kind != kinds.BOOLEAN and ((low is not None and size < low) or (high is not None and size > high)):
        raise SandboxRefusal(f"{value!r} is outside {low} to {high} for the option {name}")
