"""The bot's process: how it stops, that it runs once, and how it is paused from beside it."""

from pathlib import Path

import pytest

from bot.domain.job import JobState
from bot.sandbox.gateways.faults import SubmitFault
from tests.scenarios.process import Stage, stage
from tests.scenarios.theatre import videos

pytestmark = pytest.mark.wire

PROMPT = "A paper boat sails down a rainy street"
TEXT = {"prompt": PROMPT, "gateway": "shortapi"}


async def stops_before_the_post_is_answered(made: Stage) -> None:
    """SIGTERM while the gateway thinks about the paid POST; the answer comes after it."""
    gateway = made.theatre.gateways.shortapi
    gateway.faults.submit.append(SubmitFault.STALL_THEN_ACCEPT)
    async with made.life(watch_first_s="3600") as life:
        await made.theatre.command("video text", TEXT)
        await gateway.hanging.wait()
        life.ask_to_stop()
        await life.says("waiting for submissions under way")
        assert life.process.returncode is None
        gateway.released.set()
        assert await life.end() == 0


async def test_a_submission_under_way_is_awaited_and_the_next_start_goes_on(tmp_path: Path) -> None:
    async with stage(tmp_path) as made:
        await stops_before_the_post_is_answered(made)
        (book,) = await made.books()
        assert book.state is JobState.RUNNING

        async with made.life() as life:
            await made.theatre.card("discord.com/channels")
            assert await life.stop() == 0

        assert len(made.theatre.gateways.shortapi.submissions) == 1
        assert len(videos(made.theatre.channel)) == 1
        puts = [request for request in made.theatre.discord.requests if request.method == "PUT"]
        assert [request.route for request in puts] == ["/applications/{application_id}/commands"]


async def test_a_second_bot_on_the_same_database_ends_with_one_sentence(tmp_path: Path) -> None:
    async with stage(tmp_path) as made, made.life() as life:
        ended = await made.gallop("run")

        sentence = f"Another Gallop already runs on {made.database_path}: stop it first."
        assert (ended.exit_code, ended.sentences) == (2, [sentence])
        # The first one is none the worse for it.
        await made.theatre.command("video text", TEXT)
        await made.theatre.card("discord.com/channels")
        assert await life.stop() == 0


async def test_a_bot_stops_at_once_while_discord_does_not_answer_its_login(tmp_path: Path) -> None:
    async with stage(tmp_path) as made:
        login = made.theatre.discord.faults.hold(r"GET .*/users/@me$")
        async with made.life(ready=False) as life:
            await login.reached.wait()
            assert await life.stop(timeout_s=5) == 0


async def test_pausing_from_beside_the_bot_stops_spending_until_it_is_resumed(tmp_path: Path) -> None:
    async with stage(tmp_path) as made, made.life() as life:
        paused = await made.gallop("pause", discord_token=None)
        refused = await made.theatre.said("video text", TEXT)
        resumed = await made.gallop("resume")
        await made.theatre.command("video text", TEXT)
        await made.theatre.card("discord.com/channels")
        assert await life.stop() == 0

        assert (paused.exit_code, resumed.exit_code) == (0, 0)
        assert paused.output.startswith("Paused.")
        assert resumed.output.startswith("Resumed.\nA bot runs on /")
        assert refused == "The operator has paused new videos. Nothing was held.\n" + (
            "Those already under way go on. Ask again later."
        )
        assert len(made.theatre.gateways.shortapi.submissions) == 1
