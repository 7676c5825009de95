"""What Discord refuses in application commands, beyond what its OpenAPI document can say."""

import re
from collections.abc import Sequence
from typing import Any

from bot.sandbox.discord import rules
from bot.sandbox.discord.errors import ApiError

Definition = dict[str, Any]

CHAT_INPUT = 1
SUBCOMMAND, GROUP, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT = range(1, 12)
NAME = re.compile(r"[-_'\w]{1,32}")
OPTIONS_MAX = CHOICES_MAX = 25
COMMAND_CHARS_MAX = 8000
STRING_CHARS_MAX = 6000
COMMANDS_MAX = 100
CONTEXT_MENUS_MAX = 15


def check_commands(commands: Sequence[Definition]) -> None:
    """A whole PUT: how many there are, that no name comes twice, and each command by itself."""
    by_kind: dict[int, list[str]] = {}
    for command in commands:
        by_kind.setdefault(command.get("type") or CHAT_INPUT, []).append(command["name"])
    for kind, names in by_kind.items():
        if len(names) > (COMMANDS_MAX if kind == CHAT_INPUT else CONTEXT_MENUS_MAX):
            raise ApiError(400, 30032, f"Maximum number of application commands reached ({COMMANDS_MAX}).")
        rules.unique("name", names, "command name")
    for index, command in enumerate(commands):
        _check_command(str(index), command)


def check_choices(where: str, choices: Sequence[Definition] | None, kind: int | None = None) -> None:
    """Choices of an option, or those an autocomplete answers with (whose option may be of any kind)."""
    choices = choices or []
    rules.length(where, choices, 0, CHOICES_MAX)
    rules.unique(where, [choice["name"] for choice in choices], "choice name")
    for index, choice in enumerate(choices):
        rules.length(f"{where}.{index}.name", choice.get("name"), 1, 100)
        value = choice.get("value")
        if kind == STRING or isinstance(value, str):
            rules.must(isinstance(value, str), f"{where}.{index}.value", "STRING_TYPE_CONVERT", "Must be a string.")
            rules.length(f"{where}.{index}.value", str(value), 1, 100)


def _check_command(where: str, command: Definition) -> None:
    if (command.get("type") or CHAT_INPUT) != CHAT_INPUT:
        rules.length(f"{where}.name", command.get("name"), 1, 32)
        rules.must(not command.get("description"), f"{where}.description", "CONTEXT_MENU", "Must be empty.")
        return
    _check_named(where, command)
    options = command.get("options") or []
    _check_options(f"{where}.options", options, depth=0)
    characters = _characters(command)
    rules.must(
        characters <= COMMAND_CHARS_MAX,
        where,
        "APPLICATION_COMMAND_TOO_LARGE",
        f"Command exceeds maximum size ({characters} of {COMMAND_CHARS_MAX})",
    )


def _check_named(where: str, thing: Definition) -> None:
    name = thing.get("name") or ""
    right = NAME.fullmatch(name) is not None and name == name.lower()
    rules.must(right, f"{where}.name", "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    rules.length(f"{where}.description", thing.get("description"), 1, 100)


def _check_options(where: str, options: Sequence[Definition], *, depth: int) -> None:
    rules.length(where, options, 0, OPTIONS_MAX)
    rules.unique(where, [option.get("name") for option in options], "option name")
    nested = [option for option in options if option["type"] in {SUBCOMMAND, GROUP}]
    rules.must(len(nested) in {0, len(options)}, where, "APPLICATION_COMMAND_OPTIONS_TYPE", "Subcommands stand alone.")
    optional_seen = False
    for index, option in enumerate(options):
        place = f"{where}.{index}"
        _check_named(place, option)
        if option["type"] in {SUBCOMMAND, GROUP}:
            deepest = 0 if option["type"] == GROUP else 1
            rules.must(depth <= deepest, place, "APPLICATION_COMMAND_OPTIONS_DEPTH", "Nested too deeply.")
            _check_options(f"{place}.options", option.get("options") or [], depth=depth + 1)
            continue
        required = bool(option.get("required"))
        rules.must(
            not (required and optional_seen),
            place,
            "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
            "Required options must be placed before non-required options",
        )
        optional_seen = optional_seen or not required
        _check_value_limits(place, option)


def _check_value_limits(where: str, option: Definition) -> None:
    kind = option["type"]
    check_choices(f"{where}.choices", option.get("choices"), kind)
    both = bool(option.get("autocomplete")) and bool(option.get("choices"))
    rules.must(not both, where, "APPLICATION_COMMAND_AUTOCOMPLETE_CHOICES", "Choices exclude autocomplete.")
    if kind == STRING:
        rules.in_range(f"{where}.min_length", option.get("min_length"), 0, STRING_CHARS_MAX)
        rules.in_range(f"{where}.max_length", option.get("max_length"), 1, STRING_CHARS_MAX)
    for low, high in (("min_length", "max_length"), ("min_value", "max_value")):
        if option.get(low) is not None and option.get(high) is not None:
            rules.must(option[low] <= option[high], f"{where}.{low}", "RANGE", f"{low} is above {high}.")


def _characters(thing: Definition) -> int:
    """Name, description and every string choice, all the way down; each in its longest translation."""
    total = _longest(thing, "name") + _longest(thing, "description")
    for choice in thing.get("choices") or ():
        total += _longest(choice, "name") + (len(choice["value"]) if isinstance(choice["value"], str) else 0)
    return total + sum(_characters(option) for option in thing.get("options") or ())


def _longest(thing: Definition, key: str) -> int:
    translations = (thing.get(f"{key}_localizations") or {}).values()
    return max(len(text) for text in [thing.get(key) or "", *translations])
