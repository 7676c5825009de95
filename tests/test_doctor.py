"""`gallop doctor`: every part checked against the sandbox, and the next step behind everything wrong."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bot import deep_doctor
from bot.adapters.media.library import FileLibrary
from bot.app import check_up
from bot.config import load_settings
from bot.doctor import PERMISSIONS, Check
from bot.domain.errors import GatewayUnavailable, Refusal, StoreFailed
from bot.sandbox.discord import permissions
from tests.scenarios.process import gallop
from tests.scenarios.test_hosting_web import free_port
from tests.scenarios.theatre import Theatre, theatre

pytestmark = pytest.mark.wire


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Theatre]:
    async with theatre(tmp_path, started=False) as made:
        yield made


async def checks(house: Theatre, **changes: Any) -> list[Check]:
    return await check_up(load_settings(None, **{**house.settings, **changes}))


async def complaint(house: Theatre, **changes: Any) -> tuple[str, str]:
    """Return the only thing wrong, and what to do about it."""
    (wrong,) = [check for check in await checks(house, **changes) if not check.ok]
    return wrong.text, wrong.next_step


def register_commands(house: Theatre) -> None:
    commands = [{"name": name, "description": "Make videos.", "options": []} for name in ("video", "video-admin")]
    house.discord._registered.replace(None, commands)


async def test_a_good_set_up_has_nothing_wrong_and_says_what_is_there(house: Theatre) -> None:
    register_commands(house)

    found = await checks(house, pixeldojo_credits_1080p="40")

    assert [check for check in found if not check.ok] == []
    said = "\n".join(check.text for check in found)
    for words in (
        "gallop.db is not there yet.",
        "GB free.",
        "H.264 and AAC are there.",
        "ShortAPI answers, and did not refuse the key.",
        "HiAPI: text, image, reference at 720p and 1080p have a price.",
        "PixelDojo: reference at 720p and 1080p have a price.",
        "Animatic: free previews, no key needed.",
        "Token belongs to the application gallop.",
        f"Operators: {house.discord.owner.id}.",
        "Commands registered: /video, /video-admin.",
        "Permissions: complete in 1 server, before channel overrides.",
        "Public address: none; gateways fetch pictures from Discord and do not call back; large videos get no link.",
    ):
        assert words in said


async def test_beside_a_running_bot_it_reaches_the_public_address(house: Theatre) -> None:
    port = free_port()
    house.settings |= {
        "public_url": f"http://127.0.0.1:{port}",
        "http_port": str(port),
        "pixeldojo_credits_1080p": "40",
    }
    await house.start()

    found = await checks(house)

    assert [check for check in found if not check.ok] == []
    assert found[-1].text == "Public address answers."


class Wrong(NamedTuple):
    """A setting that is wrong, and what the doctor says to it."""

    settings: dict[str, Any]
    text: str
    next_step: str


WRONG = [
    Wrong(
        {"discord_token": "not.the.token"},
        "Discord does not let the bot in.",
        "DISCORD_TOKEN was refused by Discord: copy it again from the application's page (Bot, Reset Token), "
        "for example DISCORD_TOKEN=the-token-from-the-bot-page",
    ),
    Wrong(
        {"discord_token": None},
        "Discord does not let the bot in.",
        "DISCORD_TOKEN is not set: write the bot's token into .env, "
        "for example DISCORD_TOKEN=the-token-from-the-bot-page",
    ),
    *(
        Wrong(
            {f"{name}_key": "some-other-key"},
            f"{title} refused the key.",
            f"Copy {name.upper()}_KEY again from {title}'s console.",
        )
        for name, title in (("shortapi", "ShortAPI"), ("hiapi", "HiAPI"), ("pixeldojo", "PixelDojo"))
    ),
    *(
        Wrong(
            {f"{name}_url": "http://127.0.0.1:9"},
            f"{title} cannot be reached (ConnectError).",
            f"Check {name.upper()}_URL and the network.",
        )
        for name, title in (("shortapi", "ShortAPI"), ("hiapi", "HiAPI"), ("pixeldojo", "PixelDojo"))
    ),
    Wrong(
        {"hiapi_720p_usd_per_s": None, "hiapi_1080p_usd_per_s": None},
        "HiAPI has no price, so nothing is bought there.",
        "Set HIAPI_720P_USD_PER_S and HIAPI_1080P_USD_PER_S; see Prices in the README.",
    ),
    Wrong(
        {"pixeldojo_credit_usd": None},
        "PixelDojo has no price, so nothing is bought there.",
        "Set PIXELDOJO_CREDIT_USD; see Prices in the README.",
    ),
    Wrong(
        {"public_url": "http://127.0.0.1:9"},
        "PUBLIC_URL does not answer (ConnectError).",
        "Start the bot, and let the proxy pass this address to HTTP_HOST and HTTP_PORT.",
    ),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{next(iter(wrong.settings))}: {wrong.text}")
async def test_what_is_wrong_comes_with_the_next_step(house: Theatre, wrong: Wrong) -> None:
    register_commands(house)

    assert await complaint(house, **wrong.settings) == (wrong.text, wrong.next_step)


async def test_commands_that_are_not_registered_are_seen(house: Theatre) -> None:
    assert await complaint(house) == ("The commands are not registered yet.", "`gallop run` registers them.")


async def test_a_missing_permission_is_named_with_its_server_and_an_invitation(house: Theatre) -> None:
    register_commands(house)
    house.guild.role_permissions = permissions.EVERYONE & ~permissions.ATTACH_FILES

    text, next_step = await complaint(house)

    assert text == "Permissions are missing (Paper Boats: Attach Files)."
    assert next_step.startswith("Invite it again: https://discord.com/oauth2/authorize?")
    assert f"permissions={PERMISSIONS.value}" in next_step
    assert f"client_id={house.discord.application_id}" in next_step


async def test_a_bot_in_no_server_is_told_how_to_invite_it(house: Theatre) -> None:
    register_commands(house)
    house.discord.world.guilds.clear()

    text, next_step = await complaint(house)

    assert text == "The bot is in no server."
    assert next_step.startswith("Invite it: https://discord.com/oauth2/authorize?")


async def test_where_members_get_only_previews_is_said(house: Theatre) -> None:
    register_commands(house)

    text, next_step = await complaint(house, operator_ids="5")

    assert text == "Paid gateways are open in no server; members get only previews."
    assert next_step.startswith("GUILD_IDS lists")


async def test_discord_failing_is_not_taken_for_a_mistake_in_the_set_up(house: Theatre) -> None:
    register_commands(house)
    house.discord.faults.answer("GET .*/commands", 403)

    assert await complaint(house) == ("Commands could not be read from Discord (Forbidden).", "Try again later.")


async def test_a_nearly_full_disk_is_wrong_before_anything_is_lost(
    house: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_commands(house)
    whole = shutil.disk_usage(house.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: whole._replace(free=900_000_000))

    assert await complaint(house) == (
        "Disk: 0.9 GB free.",
        "Below 1 GB nothing is submitted: make room, or move DATA_DIR.",
    )


async def test_a_data_folder_that_cannot_be_used_is_named(house: Theatre) -> None:
    register_commands(house)
    (house.folder / "occupied").touch()

    assert await complaint(house, data_dir=str(house.folder / "occupied" / "data")) == (
        "DATA_DIR cannot be used (Not a directory).",
        "Name a folder the bot may write to, for example DATA_DIR=data.",
    )


async def test_it_makes_no_database(house: Theatre) -> None:
    await checks(house)

    assert not (house.folder / "gallop.db").exists()


async def test_a_database_of_something_else_is_left_alone(house: Theatre) -> None:
    register_commands(house)
    foreign = house.folder / "foreign.db"
    foreign.write_bytes(b"not a database at all" * 100)

    text, next_step = await complaint(house, database_url=f"sqlite:///{foreign}")

    assert (text, next_step.partition(":")[0]) == (
        "Database cannot be used.",
        f"{foreign} is not a database",
    )


async def test_on_the_command_line_it_lists_marks_and_next_steps_and_ends_with_1(house: Theatre) -> None:
    settings = {**house.settings, "hiapi_key": "some-other-key"}

    ended = await gallop("doctor", {name.upper(): str(value) for name, value in settings.items()}, house.folder)

    lines = ended.output.splitlines()
    assert ended.exit_code == 1
    assert ended.sentences == []
    assert "✓ ShortAPI answers, and did not refuse the key." in lines
    assert lines[lines.index("✗ HiAPI refused the key.") + 1] == "    → Copy HIAPI_KEY again from HiAPI's console."
    assert not any(str(value) in ended.output for name, value in settings.items() if name.endswith(("key", "token")))


async def checked_deep(house: Theatre) -> list[Check]:
    return await check_up(load_settings(None, **{**house.settings, "pixeldojo_credits_1080p": "40"}), deep=True)


async def deep(house: Theatre) -> list[Check]:
    """Return what is wrong."""
    return [check for check in await checked_deep(house) if not check.ok]


async def test_deep_tries_every_path_and_leaves_nothing_behind(house: Theatre) -> None:
    port = free_port()
    operators = house.guild.add_channel("operators")
    staging = house.guild.add_channel("staging")
    changes = {
        "public_url": f"http://127.0.0.1:{port}",
        "http_port": str(port),
        "operator_channel_id": str(operators.id),
        "staging_channel_id": str(staging.id),
    }
    house.settings |= changes
    await house.start()

    assert await deep(house) == []
    assert [channel.messages for channel in (operators, staging)] == [[], []]
    assert list((house.folder / "data" / "pictures").iterdir()) == []
    gateways = (house.gateways.shortapi, house.gateways.hiapi, house.gateways.pixeldojo)
    assert [gateway.submissions for gateway in gateways] == [[], [], []]


async def test_deep_tries_direct_messages_where_operators_have_no_channel(house: Theatre) -> None:
    register_commands(house)

    found = await checked_deep(house)

    assert Check(True, f"Operator {house.discord.owner.id}: told by direct message.") in found
    assert [check for check in found if not check.ok] == []
    assert house.discord.owner.dm.messages == []


async def test_deep_names_an_operator_whose_direct_messages_are_closed(house: Theatre) -> None:
    register_commands(house)
    house.discord.owner.dms_open = False

    (wrong,) = await deep(house)

    assert wrong.text == f"Operator {house.discord.owner.id}: Discord answers 403, code 50007."
    assert "OPERATOR_CHANNEL_ID" in wrong.next_step


async def test_deep_names_a_link_of_discord_that_cannot_be_fetched(
    house: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_commands(house)

    async def fails(*_: object, **__: object) -> None:
        raise GatewayUnavailable("discord", "ConnectError", Refusal.CONNECTION)

    monkeypatch.setattr(deep_doctor, "download", fails)
    (wrong,) = await deep(house)

    problem = "the picture's link cannot be fetched (GatewayUnavailable)"
    assert wrong.text == f"Operator {house.discord.owner.id}: {problem}."
    assert "set ATTACHMENT_HOST=web" in wrong.next_step
    assert house.discord.owner.dm.messages == []


async def test_deep_names_a_locked_database(house: Theatre, monkeypatch: pytest.MonkeyPatch) -> None:
    register_commands(house)
    await house.start()
    await house.stop()
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **named: connect(*given, **{**named, "timeout": 0}))

    with closing(connect(house.folder / "gallop.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        (wrong,) = await deep(house)

    assert wrong.text == "Database: locked."


@pytest.mark.parametrize("error", [StoreFailed("the library's disk: OSError"), OSError("no room")], ids=repr)
async def test_deep_names_a_disk_that_fails_while_it_tries_the_public_address(
    house: Theatre, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    await house.start()
    house.settings |= {"public_url": "http://127.0.0.1:9"}

    async def fails(*_: object) -> str:
        raise error

    monkeypatch.setattr(FileLibrary, "keep_picture", fails)
    wrong = [check.text for check in await deep(house)]

    assert [text for text in wrong if text.startswith("Public address: ")] == [f"Public address: {error}."]


async def test_deep_names_a_proxy_that_lets_no_callbacks_through(house: Theatre) -> None:
    register_commands(house)
    port = free_port()
    await house.start()
    house.settings |= {"public_url": f"http://127.0.0.1:{port}"}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        (wrong,) = await deep(house)

    assert "/callbacks answers 200" in wrong.text
