"""`gallop backup` and `gallop restore` as commands: what they say, and what they refuse."""

import asyncio
from pathlib import Path

import pytest

from bot.domain.job import Delivery, Job, JobState
from tests.scenarios.process import gallop
from tests.scenarios.theatre import Theatre, theatre, videos

pytestmark = pytest.mark.wire


async def test_backup_and_restore_are_commands_and_say_what_they_did(tmp_path: Path) -> None:
    async with theatre(tmp_path) as house:
        environment = {name.upper(): str(value) for name, value in house.settings.items()}
        target = house.folder / "copy.db"

        made = await gallop(f"backup {target}", environment, house.folder)
        again = await gallop(f"backup {target}", environment, house.folder)
        running = await gallop(f"restore {target}", environment, house.folder)
        await house.stop()
        restored = await gallop(f"restore {target}", environment, house.folder)

        assert (made.exit_code, made.output.splitlines()[0].startswith(f"Backed up to {target}")) == (0, True)
        assert (again.exit_code, running.exit_code, restored.exit_code) == (2, 2, 0)
        assert "is there already" in again.errors
        assert "stop it first" in running.errors
        assert "The old database is" in restored.output


async def posted(house: Theatre, state: JobState) -> None:
    """Wait until a job of that state says that its video is in the channel: the card said so before."""
    async with asyncio.timeout(20):
        while not any(  # noqa: ASYNC110 - nothing that can be seen changes with it
            job.state is state and job.delivery is Delivery.POSTED for job in await jobs(house)
        ):
            await asyncio.sleep(0.05)


async def jobs(house: Theatre) -> list[Job]:
    return await house.app.store.jobs_of(house.member.id, limit=10)


async def test_after_a_restore_nothing_is_bought_or_posted_a_second_time(tmp_path: Path) -> None:
    async with theatre(tmp_path, watch_first_s="3600", jobs_per_user="1") as house:
        environment = {name.upper(): str(value) for name, value in house.settings.items()}
        target = house.folder / "copy.db"
        await house.command("video text", {"prompt": "the first boat", "gateway": "shortapi"})
        await house.card("the first boat", "● rendering")
        await house.command("video text", {"prompt": "the second boat", "gateway": "shortapi"})
        await house.card("the second boat", "in line (1st)")
        assert (await gallop(f"backup {target}", environment, house.folder)).exit_code == 0
        house.settings["watch_first_s"] = "0.1"
        await house.restart()
        await house.card("the second boat", "discord.com/channels")
        await house.stop()
        house.discord.faults.forget_nonces()

        assert (await gallop(f"restore {target}", environment, house.folder)).exit_code == 0
        await house.start()
        await house.card("the second boat", "restored from a backup")
        await posted(house, JobState.STORED)

        assert len(house.gateways.shortapi.submissions) == 2
        assert len(videos(house.channel)) == 2
        books = {book.state: (book.settled_microusd, book.released_microusd) for book in await house.app.store.books()}
        assert books == {JobState.STORED: (645_000, 0), JobState.FAILED: (0, 645_000)}
