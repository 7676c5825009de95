"""The check against an OpenAPI document, shown with a tiny one of our own; with Discord's where it is at hand."""

from typing import Any

import aiohttp
import pytest

from bot.sandbox.discord import OpenApi, SandboxDiscord
from tests.sandbox.test_discord_playground import document, playing

pytestmark = pytest.mark.wire

ID = {"type": "string", "pattern": "^[0-9]+$"}


def small_document() -> dict[str, Any]:
    """One route: a message with content, answered with a message that has an id."""

    def body(name: str) -> dict[str, Any]:
        return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}

    return {
        "openapi": "3.1.0",
        "paths": {
            "/channels/{id}/messages": {
                "parameters": [{"name": "id", "in": "path"}],
                "get": {"parameters": [{"name": "limit", "in": "query"}], "responses": {"200": {}}},
                "post": {
                    "requestBody": body("Create"),
                    "responses": {"200": body("Message"), "4XX": {"$ref": "#/components/responses/Error"}},
                },
            }
        },
        "components": {
            "responses": {"Error": body("Error")},
            "schemas": {
                "Id": ID,
                "Create": {
                    "type": "object",
                    "properties": {
                        "content": {"type": "string", "maxLength": 10},
                        "message_reference": {"properties": {"message_id": {"$ref": "#/components/schemas/Id"}}},
                    },
                },
                "Message": {
                    "type": "object",
                    "properties": {"id": {"$ref": "#/components/schemas/Id"}},
                    "required": ["id"],
                },
                "Error": {"type": "object", "required": ["code", "message"]},
            },
        },
    }


ROUTE = "/channels/{channel_id}/messages"


def test_a_right_request_and_a_right_answer_pass() -> None:
    openapi = OpenApi(small_document())
    assert openapi.check_request("POST", ROUTE, [], {"content": "short"}) is None
    assert openapi.check_answer("POST", ROUTE, 200, {"id": "17"}) is None
    assert openapi.check_answer("POST", ROUTE, 403, {"code": 50013, "message": "Missing Permissions"}) is None
    assert openapi.check_request("GET", ROUTE, ["limit"], None) is None


def test_an_id_sent_as_an_integer_is_let_pass_in_a_request_only() -> None:
    openapi = OpenApi(small_document())
    assert openapi.check_request("POST", ROUTE, [], {"message_reference": {"message_id": 17}}) is None
    assert openapi.check_answer("POST", ROUTE, 200, {"id": 17}) is not None


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (("request", "POST", ROUTE, [], {"content": "x" * 11}), "content"),
        (("request", "POST", ROUTE, ["colour"], {}), "colour"),
        (("request", "POST", "/nowhere", [], {}), "no such route"),
        (("answer", "POST", ROUTE, 200, {}), "'id' is a required property"),
        (("answer", "POST", ROUTE, 200, {"id": "x"}), "does not match"),
        (("answer", "POST", ROUTE, 302, {}), "no 302"),
        (("answer", "POST", ROUTE, 400, {"code": 1}), "'message' is a required property"),
    ],
)
def test_a_planted_fault_is_found_and_named(fault: tuple[Any, ...], told: str) -> None:
    openapi = OpenApi(small_document())
    side, *rest = fault
    found = openapi.check_request(*rest) if side == "request" else openapi.check_answer(*rest)
    assert found is not None
    assert told in str(found)


async def test_a_wrong_request_is_answered_400_and_remembered() -> None:
    openapi = OpenApi(small_document())
    async with SandboxDiscord.start(openapi=openapi) as sandbox, aiohttp.ClientSession() as http:
        channel = sandbox.add_guild("Guild", owner=sandbox.owner).add_channel("general")
        url = f"{sandbox.api_url}/channels/{channel.id}/messages"
        headers = {"Authorization": f"Bot {sandbox.bot_token}"}
        for content, status in [("short", 200), ("far too long", 400)]:
            sandbox.assert_clean()
            async with http.post(url, json={"content": content}, headers=headers) as response:
                assert response.status == status
        assert [message.text for message in channel.messages] == ["short"]
        with pytest.raises(AssertionError, match="content"):
            sandbox.assert_clean()


async def test_where_discords_document_is_at_hand_the_playground_is_checked_against_it() -> None:
    async with playing() as play:
        await play.place().send("x")
        openapi = document()
        assert openapi is None or openapi.check_answer("GET", "/users/@me", 200, {}) is not None
