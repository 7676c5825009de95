"""Operators are told once each, also after a restart, and never in a loop."""

from collections import deque

import pytest

from bot.domain.errors import DeliveryFailed, Refusal, SubmissionRefused, SubmissionUnconfirmed
from bot.domain.notices import NoticeKind
from bot.domain.submitting import FREE_BYTES_MIN
from bot.domain.watch_times import WatchTimes
from tests.domain.world import PRICE, world

GONE = DeliveryFailed("gone", permanent=True)
NOT_NOW = DeliveryFailed("503", permanent=False)


async def looked(w, times: int = 1) -> list[NoticeKind]:
    for _ in range(times):
        await w.notices.look()
        await w.advance(15)
    return [notice.kind for notice in w.operators.told]


async def unconfirmed(w):
    w.gateway.submit_script.append(SubmissionUnconfirmed("hiapi", "reset"))
    return await w.open()


async def given_up(w):
    w.messenger.script["post_video"] = deque([GONE])
    opened = await w.open()
    await w.advance(21)
    return opened


async def test_nothing_is_told_while_all_is_well(tmp_path):
    async with world(tmp_path) as w:
        await w.open()
        await w.advance(30)

        assert await looked(w, 3) == []


@pytest.mark.parametrize(
    ("story", "kind"), [(unconfirmed, NoticeKind.UNCONFIRMED), (given_up, NoticeKind.DELIVERY_GIVEN_UP)]
)
async def test_a_job_in_trouble_is_told_once_also_after_a_restart(tmp_path, story, kind):
    async with world(tmp_path) as first:
        opened = await story(first)
        assert await looked(first, 3) == [kind]
        (notice,) = first.operators.told
        assert notice.job is not None
        assert notice.job.job_id == opened.view.job.job_id
    async with world(tmp_path, before=first) as second:
        assert await looked(second, 3) == [kind]


async def test_a_gateway_without_credit_is_told_once_and_again_after_it_had_worked(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.CREDIT))
        await w.open()
        assert await looked(w, 50) == [NoticeKind.GATEWAY_OUT]
        await w.open()
        assert await looked(w) == [NoticeKind.GATEWAY_OUT]
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.CREDIT))
        await w.open()

        assert await looked(w) == [NoticeKind.GATEWAY_OUT] * 2
        assert w.operators.told[0].reason is Refusal.CREDIT


async def test_a_restart_tells_nobody_again_of_a_gateway_without_credit(tmp_path):
    async with world(tmp_path) as first:
        first.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.CREDIT))
        await first.open()
        assert await looked(first) == [NoticeKind.GATEWAY_OUT]
    async with world(tmp_path, before=first) as second:
        await looked(second, 3)
        second.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.CREDIT))
        await second.open()

        assert await looked(second, 3) == [NoticeKind.GATEWAY_OUT]


async def test_no_loss_is_no_news_even_where_every_cent_is_told(tmp_path):
    async with world(tmp_path, loss_microusd=0) as w:
        assert await looked(w) == []


async def test_an_overbilled_price_is_told_once(tmp_path):
    async with world(tmp_path) as w:
        opened = await w.open()
        await w.overbilled.add(w.gateway.capabilities, (await w.job(opened)).request, billed_microusd=2 * PRICE)

        assert await looked(w, 3) == [NoticeKind.OVERBILLED]
        assert w.operators.told[0].detail == "text at 720p"


async def test_a_loss_is_told_from_the_set_amount_on_once_a_month(tmp_path):
    times = WatchTimes(first_s=20.0, task_life_s=60.0)
    async with world(tmp_path, loss_microusd=2 * PRICE, times=times) as w:
        await unconfirmed(w)
        await w.advance(61)
        assert NoticeKind.LOSS not in await looked(w)
        await unconfirmed(w)
        await w.advance(61)

        assert (await looked(w, 3)).count(NoticeKind.LOSS) == 1
        (notice,) = [notice for notice in w.operators.told if notice.kind is NoticeKind.LOSS]
        assert (notice.loss_microusd, notice.limit_microusd, notice.detail) == (2 * PRICE, 2 * PRICE, "2026-11")


async def test_a_disk_that_hovers_around_the_mark_is_told_once(tmp_path):
    async with world(tmp_path) as w:
        for free in (1.9, 2.1, 1.8, 2.5, 1.7):
            w.library.free = int(free * FREE_BYTES_MIN)
            assert await looked(w) == [NoticeKind.DISK_LOW]
        w.library.free = 4 * FREE_BYTES_MIN
        await looked(w)
        w.library.free = FREE_BYTES_MIN

        assert await looked(w) == [NoticeKind.DISK_LOW] * 2


async def test_what_discord_does_not_take_now_is_told_later(tmp_path):
    async with world(tmp_path) as w:
        w.operators.script.extend([NOT_NOW, NOT_NOW])
        await unconfirmed(w)
        assert await looked(w) == []

        assert await looked(w, 10) == [NoticeKind.UNCONFIRMED]


async def test_operators_who_cannot_be_told_at_all_are_not_tried_again(tmp_path):
    async with world(tmp_path) as w:
        w.operators.script.append(GONE)
        await unconfirmed(w)

        assert await looked(w, 4) == []
        assert not w.operators.script


async def test_while_discord_is_down_operators_are_tried_ever_more_seldom_and_told_in_the_end(tmp_path):
    async with world(tmp_path) as w:
        w.operators.script.extend([NOT_NOW] * 20)
        await unconfirmed(w)
        await looked(w, 40)
        assert 15 < len(w.operators.script) < 18
        for _ in range(20):
            await w.advance(3_600)
            await w.notices.look()

        assert [notice.kind for notice in w.operators.told] == [NoticeKind.UNCONFIRMED]
