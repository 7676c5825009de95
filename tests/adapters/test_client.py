"""The connection: start-up failures in one sentence, commands registered once, every failure answered."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import discord
import pytest
from discord import app_commands

from bot.adapters.discord.client import NOT_ALLOWED, GallopBot
from bot.adapters.store.sqlite import SqliteStore, open_store
from bot.domain.errors import NotYourJob, StartFailed
from bot.presentation.replies import error_reply
from bot.sandbox.discord import SandboxDiscord
from tests.adapters.discord_stage import Stage, stage

pytestmark = pytest.mark.wire


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_store(tmp_path / "gallop.db") as opened:
        yield opened


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxDiscord]:
    async with SandboxDiscord.start(messages_per_5_s=None) as started:
        yield started


def add_command(bot: GallopBot, *, description: str = "Say hello", error: Exception | None = None, defer: bool = False):
    @app_commands.command(name="hello", description=description)
    async def hello(interaction: discord.Interaction[GallopBot]) -> None:
        if defer:
            await interaction.response.defer(ephemeral=True, thinking=True)
        if error is not None:
            raise error

    bot.tree.add_command(hello)


async def sync(sandbox: SandboxDiscord, store: SqliteStore, **command: str) -> bool:
    bot = GallopBot(api_url=sandbox.api_url)
    await bot.log_in(sandbox.bot_token)
    try:
        add_command(bot, **command)
        return await bot.sync_if_changed(store.note, store.set_note)
    finally:
        await bot.close()


async def test_commands_that_did_not_change_are_not_registered_again(
    sandbox: SandboxDiscord, store: SqliteStore
) -> None:
    sent = [await sync(sandbox, store), await sync(sandbox, store), await sync(sandbox, store, description="Wave")]

    puts = [request for request in sandbox.requests if request.method == "PUT"]
    assert sent == [True, False, True]
    assert len(puts) == 2


async def test_commands_are_registered_again_with_another_application(store: SqliteStore) -> None:
    sent = []
    for _ in range(2):
        async with SandboxDiscord.start(messages_per_5_s=None) as sandbox:
            sent.append(await sync(sandbox, store))

    assert sent == [True, True]


async def test_commands_discord_refused_are_tried_again_at_the_next_start(
    sandbox: SandboxDiscord, store: SqliteStore
) -> None:
    sandbox.faults.answer("PUT ", 403)
    with pytest.raises(StartFailed, match="did not take the commands"):
        await sync(sandbox, store)

    assert await sync(sandbox, store)


async def test_a_wrong_token_is_one_sentence(sandbox: SandboxDiscord) -> None:
    with pytest.raises(StartFailed, match=r"^DISCORD_TOKEN was refused by Discord:") as failed:
        await GallopBot(api_url=sandbox.api_url).log_in("wrong")

    assert "wrong" not in failed.value.sentence


async def test_an_address_where_nobody_answers_is_one_sentence() -> None:
    with pytest.raises(StartFailed, match=r"^Discord could not be reached at http://127\.0\.0\.1:9/api/v10"):
        await GallopBot(api_url="http://127.0.0.1:9/api/v10").log_in("token")


async def test_a_discord_that_lets_nobody_in_for_an_hour_is_one_sentence(sandbox: SandboxDiscord) -> None:
    sandbox.faults.answer("GET .*/users/@me$", 429, retry_after_s=3600)
    with pytest.raises(StartFailed, match=r"^Discord could not be reached at"):
        await GallopBot(api_url=sandbox.api_url).log_in(sandbox.bot_token)


async def test_the_operators_are_the_configured_ones_else_the_applications_owner(sandbox: SandboxDiscord) -> None:
    bot = GallopBot(api_url=sandbox.api_url)
    await bot.log_in(sandbox.bot_token)

    assert bot.operator_ids() == {sandbox.owner.id}
    assert bot.operator_ids([5, 6]) == {5, 6}
    await bot.close()


async def test_a_teams_accepted_members_are_the_operators(sandbox: SandboxDiscord) -> None:
    bot = GallopBot(api_url=sandbox.api_url)
    await bot.log_in(sandbox.bot_token)
    bot.application.team = discord.Team(bot._connection, _team({7: 2, 8: 1}))

    assert bot.operator_ids() == {7}
    await bot.close()


def _team(states: dict[int, int]):
    """Return a team's payload; membership state 1 is invited, 2 is accepted."""
    members = [
        {
            "user": {"id": str(user_id), "username": "someone", "discriminator": "0", "avatar": None},
            "membership_state": state,
            "role": "admin",
            "permissions": ["*"],
            "team_id": "1",
        }
        for user_id, state in states.items()
    ]
    return {"id": "1", "name": "Stable", "icon": None, "owner_user_id": "7", "members": members}


async def test_it_asks_discord_for_guilds_only_and_lets_nobody_be_mentioned() -> None:
    bot = GallopBot()

    assert bot.intents.value == discord.Intents(guilds=True).value
    assert bot.allowed_mentions.to_dict() == {"parse": []}
    assert bot.api_url == "https://discord.com/api/v10"


async def test_it_stops_when_told_to(sandbox: SandboxDiscord) -> None:
    bot, stop = GallopBot(api_url=sandbox.api_url, guild_ready_timeout_s=0.05), asyncio.Event()
    await bot.log_in(sandbox.bot_token)
    running = asyncio.create_task(bot.run_until(stop))
    async with asyncio.timeout(10):
        await bot.wait_until_ready()

        stop.set()
        await running

    assert bot.is_closed()


@pytest.mark.parametrize("defer", [False, True])
@pytest.mark.parametrize("error", [NotYourJob(), app_commands.CheckFailure(), KeyError("secret")])
async def test_every_failed_command_is_answered_privately(
    tmp_path: Path, error: Exception, defer: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(tmp_path) as scene:
        await _register(scene, error=error, defer=defer)

        interaction = await scene.sandbox.command(scene.member, scene.channel, "hello")
        answer = await interaction.answer()

        expected = NOT_ALLOWED if isinstance(error, app_commands.CheckFailure) else error_reply(error)
        logged = [record for record in caplog.records if record.name.startswith("bot.")]
        assert answer.text == expected
        assert answer.ephemeral
        assert any(record.levelno == logging.ERROR for record in logged) is isinstance(error, KeyError)
        scene.sandbox.assert_clean()


async def _register(scene: Stage, *, error: Exception, defer: bool) -> None:
    add_command(scene.bot, error=error, defer=defer)
    assert await scene.bot.sync_if_changed(scene.store.note, scene.store.set_note)
