"""A guild may keep content for a shorter time than the operator: then its jobs are erased sooner, and no other's."""

import pytest

from bot.domain.guild import Act, GuildField
from bot.domain.request import Mode, Place
from tests.domain.test_privacy import PICTURE
from tests.domain.world import World, world

PROMPT = "a horse gallops"
DAY_S = 86_400


async def keep_for(w: World, guild_id: int, days: int) -> None:
    await w.store.change_guild(GuildField.RETENTION, days, act=Act(guild_id, 900, w.clock.now()))


async def made_in(w: World, guild_id: int | None):
    """Open a job there, and let its video be posted."""
    opened = await w.open(place=Place(50, guild_id=guild_id), mode=Mode.REFERENCE, attachments=(PICTURE,))
    await w.advance(21)
    return await w.job(opened)


async def test_a_guilds_own_retention_erases_its_jobs_with_their_files_and_no_others(tmp_path):
    async with world(tmp_path) as w:
        await keep_for(w, 7, 1)
        here, elsewhere, direct = [await made_in(w, guild_id) for guild_id in (7, 8, None)]
        w.clock.turn(DAY_S + 60)
        await w.upkeep.forget()

        prompts = [(await w.store.job(job.job_id)).request.prompt for job in (here, elsewhere, direct)]
        assert prompts == ["", PROMPT, PROMPT]
        assert sorted(w.library.discarded) == sorted([here.images[0].name, here.video.name])


async def test_until_its_days_are_over_nothing_is_erased(tmp_path):
    async with world(tmp_path) as w:
        await keep_for(w, 7, 1)
        job = await made_in(w, 7)
        w.clock.turn(DAY_S - 60)
        await w.upkeep.forget()

        assert (await w.store.job(job.job_id)).request.prompt == PROMPT


@pytest.mark.parametrize("days", [30, 90])
async def test_a_guild_keeps_nothing_longer_than_the_operator(tmp_path, days):
    async with world(tmp_path) as w:
        await keep_for(w, 7, days)
        job = await made_in(w, 7)
        w.clock.turn(31 * DAY_S)
        await w.upkeep.forget()

        assert (await w.store.job(job.job_id)).request.prompt == ""


async def test_a_shorter_retention_counts_at_once_for_what_is_there(tmp_path):
    async with world(tmp_path) as w:
        job = await made_in(w, 7)
        w.clock.turn(5 * DAY_S)
        await keep_for(w, 7, 3)
        await w.upkeep.forget()

        assert (await w.store.job(job.job_id)).request.prompt == ""
