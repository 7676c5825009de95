"""Checks a request body field by field, as strictly as the gateways' pages are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.sandbox.gateways.faults import Refused


class Refusal(Exception):
    """An honest refusal; the front answers it in the gateway's own envelope."""

    def __init__(self, kind: Refused, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


@dataclass(frozen=True)
class Field:
    """One field: str, int, dict or list (of addresses). `least` and `most` bound a number or a list's length."""

    kind: type
    required: bool = False
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = 1 << 31


Fields = Mapping[str, Field]


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object or refuse."""
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Refusal(Refused.REQUEST, "invalid request: no JSON") from error
    if not isinstance(value, dict):
        raise Refusal(Refused.REQUEST, "invalid request: no object")
    return value


def check(values: Mapping[str, Any], fields: Fields) -> None:
    """Refuse unknown, missing and wrong fields."""
    for name in values:
        if name not in fields:
            raise Refusal(Refused.REQUEST, f"additional properties '{name}' not allowed")
    for name, wanted in fields.items():
        if name in values:
            _check_value(name, values[name], wanted)
        elif wanted.required:
            raise Refusal(Refused.REQUEST, f"missing property '{name}'")


def _check_value(name: str, value: object, wanted: Field) -> None:
    if type(value) is not wanted.kind:
        raise Refusal(Refused.REQUEST, f"'{name}' must be of type {wanted.kind.__name__}")
    if wanted.choices and value not in wanted.choices:
        raise Refusal(Refused.REQUEST, f"'{name}' must be one of {', '.join(wanted.choices)}")
    if wanted.required and value == "":
        raise Refusal(Refused.REQUEST, f"'{name}' is empty")
    if isinstance(value, int | list):
        measured = len(value) if isinstance(value, list) else value
        if not wanted.least <= measured <= wanted.most:
            raise Refusal(Refused.REQUEST, f"'{name}' must be between {wanted.least} and {wanted.most}")
    if isinstance(value, list):
        for address in value:
            check_address(name, address)


def check_address(name: str, address: object) -> None:
    """Refuse what is no http(s) address."""
    if not isinstance(address, str) or not address.startswith(("http://", "https://")):
        raise Refusal(Refused.REQUEST, f"'{name}' must hold http(s) addresses")
