"""What managers do is told in their audit channel: once each, in order, and no guild waits for another's channel."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.store.sqlite import SqliteStore, open_store
from bot.domain.auditing import AuditTeller
from bot.domain.errors import DeliveryFailed, StoreFailed
from bot.domain.guild import Act, AuditEntry, GuildField
from tests.fakes import FakeClock

GUILD, OTHER, CHANNEL, OTHER_CHANNEL, MANAGER = 7, 8, 70, 80, 900
CLOSED = DeliveryFailed("403", permanent=True)
NOT_NOW = DeliveryFailed("503", permanent=False)


class FakeChannels:
    """Keeps what was told where; `script` holds what each channel raises first."""

    def __init__(self) -> None:
        self.told: list[tuple[int, AuditEntry]] = []
        self.tries = 0
        self.script: dict[int, deque[Exception]] = {}
        self.has_told = asyncio.Event()

    async def tell(self, entry: AuditEntry, *, channel_id: int) -> None:
        self.tries += 1
        if self.script.get(channel_id):
            raise self.script[channel_id].popleft()
        self.told.append((channel_id, entry))
        self.has_told.set()


@dataclass
class Scene:
    store: SqliteStore
    clock: FakeClock = field(default_factory=FakeClock)
    channels: FakeChannels = field(default_factory=FakeChannels)

    def __post_init__(self) -> None:
        self.teller = self.new_teller()

    def new_teller(self) -> AuditTeller:
        return AuditTeller(store=self.store, messenger=self.channels, clock=self.clock)

    async def change(self, guild_id: int, setting: GuildField, value: object) -> None:
        await self.store.change_guild(setting, value, act=Act(guild_id, MANAGER, self.clock.now()))

    async def open(self, guild_id: int = GUILD, channel_id: int = CHANNEL) -> None:
        """Choose an audit channel, and tell that."""
        await self.change(guild_id, GuildField.AUDIT_CHANNEL, channel_id)
        await self.teller.look()
        self.channels.told.clear()

    async def act(self, days: int, guild_id: int = GUILD) -> None:
        await self.change(guild_id, GuildField.RETENTION, days)

    async def looks(self, *, seconds: float = 0, times: int = 1) -> list[tuple[int, str]]:
        """Turn the clock and look, again and again; return where what was told so far."""
        for _ in range(times):
            self.clock.turn(seconds)
            await self.teller.look()
        return [(channel_id, entry.after) for channel_id, entry in self.channels.told]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_store(tmp_path / "gallop.db") as store:
        yield Scene(store)


async def test_acts_are_told_oldest_first_and_once_also_by_the_next_life(scene: Scene) -> None:
    await scene.open()
    for days in (1, 2, 3):
        await scene.act(days)
    told = await scene.looks(times=2)
    scene.teller = scene.new_teller()

    assert told == await scene.looks() == [(CHANNEL, "1 day"), (CHANNEL, "2 days"), (CHANNEL, "3 days")]


async def test_without_an_audit_channel_nothing_is_told(scene: Scene) -> None:
    await scene.act(1)

    assert await scene.looks() == []


async def test_what_was_done_before_a_channel_was_chosen_stays_untold_and_the_choice_is_told(scene: Scene) -> None:
    await scene.act(1)
    await scene.change(GUILD, GuildField.AUDIT_CHANNEL, CHANNEL)

    assert await scene.looks() == [(CHANNEL, f"channel {CHANNEL}")]


async def test_an_act_that_breaks_the_messenger_keeps_no_other_guild_waiting_and_is_given_up_after_a_day(
    scene: Scene,
) -> None:
    await scene.open()
    await scene.open(OTHER, OTHER_CHANNEL)
    await scene.act(1)
    await scene.act(2, OTHER)
    scene.channels.script[CHANNEL] = deque([ValueError("nobody foresaw it")] * 2)

    assert await scene.looks() == [(OTHER_CHANNEL, "2 days")]
    await scene.looks(seconds=86_400)
    await scene.act(3)
    assert await scene.looks(seconds=3_600) == [(OTHER_CHANNEL, "2 days"), (CHANNEL, "3 days")]


async def test_what_discord_does_not_take_now_is_told_later_and_later_acts_wait_for_it(scene: Scene) -> None:
    await scene.open()
    await scene.act(1)
    await scene.act(2)
    scene.channels.script[CHANNEL] = deque([NOT_NOW, NOT_NOW])

    assert await scene.looks() == []
    assert await scene.looks(seconds=15) == []
    assert await scene.looks(seconds=15) == []
    assert await scene.looks(seconds=45) == [(CHANNEL, "1 day"), (CHANNEL, "2 days")]


async def test_while_discord_is_down_a_channel_is_tried_ever_more_seldom(scene: Scene) -> None:
    await scene.open()
    await scene.act(1)
    scene.channels.script[CHANNEL] = deque([NOT_NOW] * 1_000)
    before = scene.channels.tries

    await scene.looks(seconds=15, times=400)

    assert 5 <= scene.channels.tries - before <= 8


async def test_a_guild_whose_channel_is_closed_keeps_no_other_guild_waiting(scene: Scene) -> None:
    await scene.open()
    await scene.open(OTHER, OTHER_CHANNEL)
    for days in range(1, 71):
        await scene.act(days)
    await scene.act(5, OTHER)
    scene.channels.script[CHANNEL] = deque([CLOSED] * 1_000)
    before = scene.channels.tries

    assert await scene.looks() == [(OTHER_CHANNEL, "5 days")]
    assert scene.channels.tries - before == 2


async def test_a_channel_that_is_opened_again_within_a_day_is_told_everything(scene: Scene) -> None:
    await scene.open()
    await scene.act(1)
    scene.channels.script[CHANNEL] = deque([CLOSED] * 3)

    assert await scene.looks(seconds=3_600, times=4) == [(CHANNEL, "1 day")]


async def test_what_a_closed_channel_did_not_take_for_a_day_is_told_no_more(scene: Scene) -> None:
    await scene.open()
    await scene.act(1)
    await scene.act(2)
    scene.channels.script[CHANNEL] = deque([CLOSED] * 1_000)
    await scene.looks()
    scene.clock.turn(86_400)
    await scene.act(3)
    await scene.looks()

    [left] = await scene.store.untold_acts(limit=10)
    assert left.after == "3 days"


async def test_what_fails_without_a_refusal_is_never_given_up(scene: Scene) -> None:
    await scene.open()
    await scene.act(1)
    scene.channels.script[CHANNEL] = deque([NOT_NOW] * 50)
    await scene.looks(seconds=3_600, times=50)

    assert await scene.looks(seconds=3_600) == [(CHANNEL, "1 day")]


async def test_another_channel_is_told_at_once_what_is_done_from_then_on(scene: Scene) -> None:
    await scene.open()
    scene.channels.script[CHANNEL] = deque([CLOSED] * 1_000)
    await scene.act(1)
    await scene.looks()
    await scene.change(GUILD, GuildField.AUDIT_CHANNEL, OTHER_CHANNEL)
    await scene.act(2)

    assert await scene.looks() == [(OTHER_CHANNEL, f"channel {OTHER_CHANNEL}"), (OTHER_CHANNEL, "2 days")]


async def test_a_channel_that_is_chosen_once_more_loses_nothing(scene: Scene) -> None:
    await scene.open()
    await scene.act(1)
    await scene.change(GUILD, GuildField.AUDIT_CHANNEL, CHANNEL)

    assert await scene.looks() == [(CHANNEL, "1 day")]


async def test_a_channel_taken_away_is_told_nothing_more(scene: Scene) -> None:
    await scene.open()
    await scene.act(1)
    await scene.change(GUILD, GuildField.AUDIT_CHANNEL, None)

    assert await scene.looks() == []


async def test_an_act_from_a_day_ago_is_still_told_where_the_channel_takes_it(scene: Scene) -> None:
    await scene.open()
    await scene.act(1)
    scene.clock.turn(timedelta(days=3).total_seconds())

    assert await scene.looks() == [(CHANNEL, "1 day")]


async def test_it_looks_as_soon_as_it_is_woken_and_outlives_a_failing_database(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed, untold_acts = asyncio.Event(), scene.store.untold_acts

    async def fail_once(**options: Any) -> list[AuditEntry]:
        if not failed.is_set():
            failed.set()
            raise StoreFailed
        return await untold_acts(**options)

    await scene.open()
    await scene.act(1)
    scene.channels.has_told.clear()
    monkeypatch.setattr(scene.store, "untold_acts", fail_once)
    running = asyncio.create_task(scene.teller.run())
    try:
        async with asyncio.timeout(5):
            await failed.wait()
            scene.teller.wake()
            await scene.channels.has_told.wait()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert [entry.after for _, entry in scene.channels.told] == ["1 day"]
