"""Checking the bot's requests and the sandbox's answers against Discord's OpenAPI document."""

import copy
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from bot.sandbox.discord.components import walk

ROOT = "urn:discord-openapi"
JSON_TYPE = "application/json"
# discord.py sends these ids as integers; Discord takes both although the document says string.
IDS_SENT_AS_INTEGERS = {"message_id", "channel_id", "guild_id", "recipient_id"}


class Mismatch(NamedTuple):
    """One disagreement with the document: whose it is, on which route, and what is wrong where."""

    side: str
    method: str
    route: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.side} {self.method} {self.route} at {self.where or 'the top'}: {self.message}"


class OpenApi:
    """Validators are built once per schema; the document is read once, from the path the caller gives."""

    def __init__(self, document: dict[str, Any]) -> None:
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012

        self._document = document
        self._registry: Any = Registry().with_resource(ROOT, DRAFT202012.create_resource(document))
        self._validators: dict[str, Any] = {}
        self._templates = {_nameless(template): template for template in document["paths"]}

    @classmethod
    def read(cls, path: Path) -> "OpenApi":
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def check_request(self, method: str, route: str, query: Iterable[str], body: Any) -> Mismatch | None:
        """The JSON part of a request, and that its query uses only documented names."""
        operation, pointer = self._operation(method, route)
        if operation is None:
            return Mismatch("request", method, route, "", "the document has no such route")
        declared = {p["name"] for p in [*operation.get("parameters", ()), *self._shared_parameters(route)]}
        unknown = [name for name in query if name not in declared]
        if unknown:
            return Mismatch("request", method, route, "query", f"unknown parameter {unknown[0]}")
        content = operation.get("requestBody", {}).get("content", {})
        if JSON_TYPE not in content or body is None:
            return None
        schema = f"{pointer}/requestBody/content/{_escape(JSON_TYPE)}/schema"
        return self._check("request", method, route, schema, _ids_as_strings(body))

    def check_answer(self, method: str, route: str, status: int, body: Any) -> Mismatch | None:
        operation, pointer = self._operation(method, route)
        if operation is None:
            return None
        responses = operation["responses"]
        key = str(status) if str(status) in responses else f"{status // 100}XX"
        if key not in responses:
            return Mismatch("answer", method, route, "status", f"the document has no {status}")
        response = responses[key]
        base = f"{pointer}/responses/{key}"
        if "$ref" in response:
            base = response["$ref"].removeprefix("#")
            response = self._look_up(base)
        if JSON_TYPE not in response.get("content", {}):
            fine = body is None
            return None if fine else Mismatch("answer", method, route, "", f"{status} has no body")
        schema = f"{base}/content/{_escape(JSON_TYPE)}/schema"
        return self._check("answer", method, route, schema, _without_form_codes(body))

    def _operation(self, method: str, route: str) -> tuple[dict[str, Any] | None, str]:
        template = self._templates.get(_nameless(route))
        if template is None:
            return None, ""
        operation = self._document["paths"][template].get(method.lower())
        return operation, f"/paths/{_escape(template)}/{method.lower()}"

    def _shared_parameters(self, route: str) -> list[dict[str, Any]]:
        shared: list[dict[str, Any]] = self._document["paths"][self._templates[_nameless(route)]].get("parameters", [])
        return shared

    def _look_up(self, pointer: str) -> dict[str, Any]:
        found: Any = self._document
        for step in pointer.strip("/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        return dict(found)

    def _check(self, side: str, method: str, route: str, pointer: str, body: Any) -> Mismatch | None:
        from jsonschema.exceptions import best_match

        error = best_match(self._validator(pointer).iter_errors(body))
        if error is None:
            return None
        where = ".".join(str(step) for step in error.absolute_path)
        return Mismatch(side, method, route, where, error.message[:500])

    def _validator(self, pointer: str) -> Any:
        from jsonschema import Draft202012Validator

        if pointer not in self._validators:
            schema = {"$ref": f"{ROOT}#{pointer}"}
            self._validators[pointer] = Draft202012Validator(schema, registry=self._registry)
        return self._validators[pointer]


def _nameless(template: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", template)


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _without_form_codes(body: Any) -> Any:
    """The document calls the code of a form error an integer; what Discord sends and documents is a word."""
    if isinstance(body, dict) and "errors" in body:
        return {key: value for key, value in body.items() if key != "errors"}
    return body


def _ids_as_strings(body: Any) -> Any:
    """A copy in which the ids discord.py is known to send as integers are strings."""
    if not isinstance(body, dict):
        return body
    body = copy.deepcopy(body)
    _stringify(body)
    for part in (body, body.get("data")):
        if not isinstance(part, dict):
            continue
        for attachment in part.get("attachments") or ():
            attachment["id"] = str(attachment["id"])
        allowed = part.get("allowed_mentions") or {}
        for key in ("users", "roles"):
            if key in allowed:
                allowed[key] = [str(item) for item in allowed[key]]
        if isinstance(part.get("message_reference"), dict):
            _stringify(part["message_reference"])
        for _, component in walk(part.get("components") or ()):
            for chosen in component.get("default_values") or ():
                chosen["id"] = str(chosen["id"])
    return body


def _stringify(part: dict[str, Any]) -> None:
    for key in IDS_SENT_AS_INTEGERS & part.keys():
        if isinstance(part[key], int):
            part[key] = str(part[key])
