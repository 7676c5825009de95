"""Blocks and the blocklist: who set them, until when they hold, and the audit entry each leaves."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.adapters.store.sqlite import open_store
from bot.domain.errors import Blocked, StoreFailed
from bot.domain.guild import Act, ActKind, Block, BlockedWord
from bot.domain.job import JobState
from tests.adapters.store_fixtures import GUILD, LATER, NOW, OTHER_USER, USER, attempt, open_in, opening

MANAGER, OTHER_GUILD = 91, 22
ACT = Act(GUILD, MANAGER, NOW)
ELSEWHERE = replace(ACT, guild_id=OTHER_GUILD)
LATER_ACT = Act(GUILD, 92, LATER)
UNTIL = NOW + timedelta(hours=1)
AFTER = NOW + timedelta(hours=2)


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gallop.db") as opened:
        yield opened


async def acts(store):
    found = reversed(await store.audit(GUILD, before_id=None, limit=100))
    return [(act.kind, act.actor_id, act.subject, act.before, act.after, act.user_id) for act in found]


def block(store, user_id=USER, until=None, reason="spam", act=ACT):
    return store.block(user_id=user_id, until=until, reason=reason, act=act)


def block_of(store, now=NOW, guild_id=GUILD):
    return store.block_of(user_id=USER, guild_id=guild_id, now=now)


@pytest.mark.parametrize("until", [None, UNTIL])
async def test_a_block_holds_until_then_and_in_its_guild_alone(store, until):
    blocked = await block(store, until=until)
    others = await block(store, OTHER_USER, act=LATER_ACT)

    assert blocked == Block(USER, until, "spam", MANAGER, NOW)
    assert await block_of(store) == blocked
    assert await block_of(store, guild_id=OTHER_GUILD) is None
    assert await store.blocks(GUILD, now=LATER) == [others, blocked]
    assert await store.blocks(OTHER_GUILD, now=NOW) == []
    held_longer = [] if until else [blocked]
    assert await store.blocks(GUILD, now=UNTIL) == [others, *held_longer]
    assert await block_of(store, AFTER) == (None if until else blocked)


async def test_a_later_block_takes_the_place_of_an_earlier_one_and_says_so(store):
    await block(store, until=UNTIL)
    again = await block(store, reason="", act=LATER_ACT)

    assert await store.blocks(GUILD, now=AFTER) == [again]
    first = "until 2026-11-20 13:00 UTC: spam"
    assert await acts(store) == [
        (ActKind.BLOCKED, 91, f"member {USER}", "none", first, USER),
        (ActKind.BLOCKED, 92, f"member {USER}", first, "until unblocked", USER),
    ]


async def test_unblocking_ends_a_block_once(store):
    await block(store)
    assert not await store.unblock(user_id=USER, act=ELSEWHERE)
    assert await store.unblock(user_id=USER, act=LATER_ACT)
    assert not await store.unblock(user_id=USER, act=LATER_ACT)

    assert await block_of(store) is None
    assert (await acts(store))[1:] == [
        (ActKind.UNBLOCKED, 92, f"member {USER}", "until unblocked: spam", "none", USER),
    ]


async def test_of_two_managers_who_unblock_at_once_one_is_in_the_audit(store):
    await block(store)
    answers = await asyncio.gather(*(store.unblock(user_id=USER, act=act) for act in (ACT, LATER_ACT)))

    assert answers == [True, False]
    assert len(await acts(store)) == 2


async def test_a_block_that_is_over_is_nothing_to_unblock_and_not_what_was_before(store):
    await block(store, until=UNTIL)
    assert not await store.unblock(user_id=USER, act=replace(ACT, at=UNTIL))
    await block(store, act=replace(ACT, at=AFTER))

    assert [(before, after) for _, _, _, before, after, _ in await acts(store)][1:] == [
        ("none", "until unblocked: spam")
    ]


async def test_a_blocked_person_opens_nothing_and_what_they_had_in_line_is_not_submitted(store):
    held = await open_in(store, JobState.HELD)
    elsewhere = await open_in(store, JobState.HELD, guild_id=OTHER_GUILD)
    await block(store, until=UNTIL)

    with pytest.raises(Blocked) as blocked:
        await store.open_job(opening())
    assert blocked.value.until == UNTIL
    assert not await store.begin_attempt(attempt(held), next_at=NOW)
    assert await store.begin_attempt(attempt(elsewhere), next_at=NOW)
    await store.open_job(opening(guild_id=None))
    await store.open_job(opening(user_id=OTHER_USER))
    assert await store.begin_attempt(attempt(held, at=UNTIL), next_at=UNTIL)
    await store.open_job(opening(now=UNTIL))


async def test_words_and_patterns_come_oldest_first_each_text_once(store):
    assert await store.add_word("zebra", is_pattern=False, act=ACT)
    assert await store.add_word("a+b", is_pattern=True, act=LATER_ACT)
    assert not await store.add_word("zebra", is_pattern=False, act=LATER_ACT)
    assert not await store.add_word("zebra", is_pattern=True, act=LATER_ACT)
    assert await store.add_word("zebra", is_pattern=True, act=ELSEWHERE)

    assert await store.words(GUILD) == [BlockedWord("zebra", False, 91, NOW), BlockedWord("a+b", True, 92, LATER)]
    assert await store.words(OTHER_GUILD) == [BlockedWord("zebra", True, 91, NOW)]
    assert await acts(store) == [
        (ActKind.WORD_ADDED, 91, "zebra", "", "word", None),
        (ActKind.WORD_ADDED, 92, "a+b", "", "pattern", None),
    ]


async def test_a_word_is_removed_once_and_in_its_guild_alone(store):
    await store.add_word("zebra", is_pattern=True, act=ACT)
    assert not await store.remove_word("zebra", act=ELSEWHERE)
    assert not await store.remove_word("zebr", act=ACT)
    assert await store.remove_word("zebra", act=LATER_ACT)
    assert not await store.remove_word("zebra", act=LATER_ACT)

    assert await store.words(GUILD) == []
    assert (await acts(store))[1:] == [(ActKind.WORD_REMOVED, 92, "zebra", "pattern", "", None)]


async def test_of_two_managers_who_add_the_same_word_at_once_one_does(store):
    answers = await asyncio.gather(*(store.add_word("x", is_pattern=False, act=act) for act in (ACT, LATER_ACT)))

    assert answers == [True, False]
    assert len(await acts(store)) == 1


async def test_what_cannot_be_written_down_does_not_happen(store, monkeypatch):
    await block(store, OTHER_USER)
    await store.add_word("kept", is_pattern=False, act=ACT)
    before = await acts(store)
    monkeypatch.setattr("bot.adapters.store.audit._RECORD", "INSERT INTO audit (guild_id) VALUES (:guild_id)")
    for act in (
        block(store),
        store.unblock(user_id=OTHER_USER, act=ACT),
        store.add_word("x", is_pattern=False, act=ACT),
        store.remove_word("kept", act=ACT),
    ):
        with pytest.raises(StoreFailed):
            await act
    with pytest.raises(StoreFailed):
        await store.add_word("", is_pattern=False, act=ACT)

    assert [found.user_id for found in await store.blocks(GUILD, now=NOW)] == [OTHER_USER]
    assert [word.text for word in await store.words(GUILD)] == ["kept"]
    assert await acts(store) == before
