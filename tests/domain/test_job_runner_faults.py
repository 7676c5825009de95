"""What breaks in the middle is mended: by reading again, by looking first, and never at the cost of another job."""

import asyncio
from collections import deque

import pytest

from bot.domain.errors import (
    DeliveryFailed,
    GatewayUnavailable,
    PromptRejected,
    Refusal,
    StartFailed,
    StoreFailed,
    SubmissionRefused,
    SubmissionUnconfirmed,
    VideoUnusable,
)
from bot.domain.job import CardFace, Delivery, Ending, JobState, MessageRef
from bot.domain.ports import Accepted, Progress, Reading
from bot.domain.pricing import PriceRow
from bot.domain.quota import Caps, Limits
from bot.domain.request import Attachment, Mode, Resolution
from bot.domain.watch_times import WatchTimes
from tests.domain.world import PRICE, world
from tests.fakes import RULES, FakeGateway, capabilities

PICTURE = Attachment("https://cdn.example/a.png", "a.png", 1000)
RUNNING = Reading(Progress.RUNNING)
UNLIMITED = Limits(None, None, None, None)


def failing(operation: str, times: int):
    """Return a stand-in for a store's operation that fails some times before it works."""
    left = iter(range(times))

    def wrap(store):
        works = getattr(store, operation)

        async def once_more(*args, **kwargs):
            if next(left, None) is not None:
                raise StoreFailed("the disk is full")
            return await works(*args, **kwargs)

        setattr(store, operation, once_more)

    return wrap


async def test_whatever_breaks_after_the_post_left_leaves_the_job_unconfirmed(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(OverflowError("a date in the year 99999"))
        opened = await w.open()

        assert (await w.job(opened)).state is JobState.UNCONFIRMED
        assert w.messenger.told("edit_card") == ["unconfirmed"]


async def test_a_submitting_job_without_a_sender_becomes_unconfirmed(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(SubmissionUnconfirmed("hiapi", "reset"))
        failing("leave_unconfirmed", 10**6)(w.store)
        opened = await w.open()
        for task in list(w.runner._busy.values()):
            task.cancel()
        del w.store.leave_unconfirmed
        await w.advance(601)

        assert (await w.job(opened)).state is JobState.UNCONFIRMED


async def test_what_a_gateway_said_is_written_as_often_as_the_disk_needs(tmp_path):
    async with world(tmp_path) as w:
        failing("accept", 5)(w.store)
        opened = await w.open()
        await w.advance(10, step_s=1)

        assert (await w.job(opened)).state is JobState.RUNNING
        assert len(w.gateway.submitted) == 1


async def test_a_gateway_job_id_of_another_job_leaves_the_job_unconfirmed(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.extend([Accepted("same"), Accepted("same")])
        first, second = await w.open(), await w.open()

        assert (await w.job(first)).state is JobState.RUNNING
        assert (await w.job(second)).state is JobState.UNCONFIRMED


async def test_a_finished_job_is_asked_for_its_address_however_long_the_bot_was_away(tmp_path):
    async with world(tmp_path) as first:
        first.gateway.read_script.append(Reading(Progress.FINISHED))
        first.gateway.read_script.extend([GatewayUnavailable("hiapi", "status 503", Refusal.BUSY)] * 3)
        opened = await first.open()
        await first.advance(21)
        assert (await first.job(opened)).state is JobState.FINISHED
    first.clock.turn(3_600)
    async with world(tmp_path, before=first) as second:
        await second.advance(120, step_s=2)

        assert (await second.job(opened)).delivery is Delivery.POSTED


async def test_a_dead_link_is_renewed_before_the_job_is_given_up(tmp_path):
    async with world(tmp_path) as first:
        first.gateway.fetch_script.extend([GatewayUnavailable("hiapi", "status 403")] * 2)
        opened = await first.open()
        await first.advance(20)
        assert (await first.job(opened)).state is JobState.FINISHED
    first.clock.turn(90_000)
    first.gateway.read_script.append(Reading(Progress.FINISHED, video_address="https://cdn.example/fresh.mp4"))
    async with world(tmp_path, before=first) as second:
        await second.advance(30, step_s=1)

        assert (await second.job(opened)).delivery is Delivery.POSTED
        assert second.gateway.fetched == ["https://cdn.example/fresh.mp4"]


async def test_ever_new_links_to_nothing_are_not_fetched_in_a_loop(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.read_script.extend(Reading(Progress.FINISHED, f"https://cdn.example/{n}.mp4") for n in range(900))
        w.gateway.fetch_script.extend([VideoUnusable("hiapi", "html")] * 900)
        await w.open()
        await w.advance(620, step_s=1)

        assert 900 - len(w.gateway.fetch_script) <= 12


async def test_a_message_whose_writing_down_failed_is_looked_for_before_it_is_posted_again(tmp_path):
    async with world(tmp_path) as w:
        failing("card_posted", 1)(w.store)
        failing("delivered", 1)(w.store)
        await w.open()
        await w.advance(40, step_s=1)

        assert w.messenger.looked == ["post_card", "post_video"]


async def test_an_error_while_looking_at_jobs_ends_no_submission_under_way(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.gate.clear()
        opened = await w.open()

        async def broken(**_):
            raise RuntimeError("a bug")

        w.store.line, line = broken, w.store.line
        w.runner.wake()
        await w.settle()
        w.store.line = line
        w.gateway.gate.set()
        await w.settle()
        await w.advance(6)

        assert (await w.job(opened)).state is JobState.RUNNING


async def test_a_database_that_cannot_be_written_at_start_is_one_sentence(tmp_path):
    async with world(tmp_path) as w:
        failing("recover", 1)(w.store)
        with pytest.raises(StartFailed, match="DATABASE_URL"):
            await w.runner.run()


async def test_the_only_running_job_is_not_lost_while_its_gateway_does_not_answer(tmp_path):
    times = WatchTimes(first_s=20, interval_s=60, interval_max_s=60, task_life_s=900)
    async with world(tmp_path, times=times) as w:
        w.gateway.read_script.extend([GatewayUnavailable("hiapi", "ConnectError", Refusal.CONNECTION)] * 60)
        opened = await w.open()
        await w.advance(3_000, step_s=60)
        assert (await w.job(opened)).state is JobState.RUNNING
        await w.advance(3_000, step_s=60)

        assert (await w.job(opened)).state is JobState.STORED


async def test_the_only_running_job_is_lost_when_its_gateway_has_forgotten_it(tmp_path):
    times = WatchTimes(first_s=20, interval_s=60, interval_max_s=60, task_life_s=900)
    async with world(tmp_path, times=times) as w:
        w.gateway.read_script.extend([GatewayUnavailable("hiapi", "status 404")] * 60)
        opened = await w.open()
        await w.advance(1_200, step_s=60)

        assert (await w.job(opened)).state is JobState.LOST


async def test_a_price_proved_too_low_stays_out_of_use_although_it_could_not_be_written_at_first(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.extend([Accepted("gw-1", PRICE + 1), Accepted("gw-2", PRICE + 1)])
        written, remember = [], w.overbilled._remember

        async def failing_once(rows):
            written.append(rows)
            if len(written) == 1:
                raise StoreFailed("the disk is full")
            await remember(rows)

        w.overbilled._remember = failing_once
        w.gateway.gate.clear()
        await w.open()
        await w.open()
        w.gateway.gate.set()
        await w.settle()

        assert w.overbilled_rows == ["hiapi/text/720p/0/129000"]


async def test_a_bill_that_only_a_read_shows_is_compared_with_the_price(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.read_script.append(Reading(Progress.FINISHED, "https://cdn.example/v.mp4", billed_microusd=PRICE + 1))
        await w.open()
        await w.advance(20)

        assert w.overbilled_rows


async def test_a_job_whose_price_rose_while_it_waited_is_not_submitted(tmp_path):
    caps = Caps(per_user=0, per_guild=9, per_gateway=9)
    async with world(tmp_path, caps=caps) as first:
        opened = await first.open()
    dearer = {Resolution.P720: PriceRow(second_microusd=129_001)}
    first.gateway.capabilities = capabilities(prices=dearer)
    async with world(tmp_path, before=first) as second:
        assert (await second.job(opened)).ending is Ending.UNPRICED
        assert not second.gateway.submitted


async def test_five_failures_also_stop_jobs_that_were_in_line_already(tmp_path):
    async with world(tmp_path, caps=Caps(per_user=1, per_guild=9, per_gateway=9), limits=UNLIMITED) as w:
        w.gateway.gate.clear()
        w.gateway.submit_script.extend([SubmissionRefused("hiapi", "moderation", reason=Refusal.CONTENT)] * 9)
        opened = [await w.open() for _ in range(7)]
        w.gateway.gate.set()
        await w.settle()

        assert len(w.gateway.submitted) == 5
        assert [(await w.job(each)).ending for each in opened[5:]] == [Ending.TOO_MANY_FAILURES] * 2


async def test_a_job_being_prepared_counts_towards_the_caps(tmp_path):
    async with world(tmp_path, caps=Caps(per_user=1, per_guild=9, per_gateway=9)) as w:
        ready = asyncio.Event()
        free_bytes = w.library.free_bytes

        async def slow():
            await ready.wait()
            return await free_bytes()

        w.library.free_bytes = slow
        for _ in range(2):
            await w.service.open(w.ask())
        for _ in range(200):
            await asyncio.sleep(0)
            w.runner.wake()
        ready.set()
        await w.settle()

        assert len(w.gateway.submitted) == 1


async def test_a_resting_job_does_not_keep_the_runner_spinning(tmp_path):
    async with world(tmp_path) as w:
        w.library.free = 0
        await w.open()
        await w.store.set_paused(True)
        await w.advance(61, step_s=5)
        rounds = 0
        look = w.store.line

        async def counted():
            nonlocal rounds
            rounds += 1
            return await look()

        w.store.line = counted
        await w.advance(60, step_s=1)

        assert rounds <= 15


async def test_many_slow_deliveries_do_not_keep_a_new_job_from_its_card(tmp_path):
    caps = Caps(per_user=999, per_guild=999, per_gateway=999)
    async with world(tmp_path, caps=caps, limits=UNLIMITED) as w:
        stuck = asyncio.Event()
        post = w.messenger.post_video

        async def waiting(view, *, look_first):
            await stuck.wait()
            return await post(view, look_first=look_first)

        w.messenger.post_video = waiting
        for _ in range(70):
            await w.service.open(w.ask())
        await w.settle()
        w.clock.turn(20)
        async with asyncio.timeout(10):
            while len(w.runner._slow) < 64:  # noqa: ASYNC110 - the runner sets no event for being full
                await asyncio.sleep(0)
            opened = await w.service.open(w.ask(user_id=2))
            job = await w.runner.card_posted(opened.view.job.job_id, timeout_s=5)
        stuck.set()
        await w.settle()

        assert job is not None
        assert job.card is not None


async def test_an_unconfirmed_card_is_edited_until_discord_takes_it(tmp_path):
    async with world(tmp_path) as w:
        w.messenger.script["edit_card"] = deque([DeliveryFailed("503", permanent=False)] * 3)
        w.gateway.submit_script.append(SubmissionUnconfirmed("hiapi", "reset"))
        opened = await w.open()
        await w.advance(120, step_s=5)

        assert (await w.job(opened)).card_face is CardFace.UNCONFIRMED


async def test_stopping_starts_no_new_card_edit(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.gate.clear()
        await w.open()
        w.runner.stop()
        await asyncio.sleep(0)
        w.gateway.gate.set()
        await w._running

        assert w.messenger.told("edit_card") == []


async def test_a_card_posted_at_the_second_try_is_still_told_to_who_waits(tmp_path):
    async with world(tmp_path) as w:
        w.messenger.script["post_card"] = deque([DeliveryFailed("reset", permanent=False)])
        opened = await w.service.open(w.ask())
        waiting = asyncio.ensure_future(w.runner.card_posted(opened.view.job.job_id, timeout_s=20))
        await w.settle()
        await w.advance(2)
        job = await waiting

        assert job is not None
        assert job.card is not None


async def test_the_place_in_line_on_a_card_follows_the_line(tmp_path):
    async with world(tmp_path, caps=Caps(per_user=9, per_guild=9, per_gateway=1)) as w:
        w.gateway.read_script.extend([RUNNING] * 2)
        for user_id in (1, 2, 3, 4):
            await w.open(user_id=user_id)
        places = []
        edit = w.messenger.edit_card

        async def noting(view):
            if view.place_in_line is not None:
                places.append((view.job.user_id, view.place_in_line))
            await edit(view)

        w.messenger.edit_card = noting
        await w.advance(60, step_s=2)

        assert (3, 1) in places
        assert (4, 2) in places


async def test_a_private_job_that_could_not_be_held_takes_its_knock_back(tmp_path):
    async with world(tmp_path) as w:
        failing("open_job", 1)(w.store)
        with pytest.raises(StoreFailed):
            await w.open(private=True, mode=Mode.IMAGE, attachments=(PICTURE,))

        assert [name for name, *_ in w.messenger.said] == ["knock", "unknock"]
        assert not w.pictures.kept


async def test_a_prompt_that_grows_too_long_in_the_gateways_tokens_is_refused(tmp_path):
    modes = {
        **capabilities().modes,
        Mode.REFERENCE: type(capabilities().modes[Mode.REFERENCE])(
            "model", ratios=("16:9",), pictures=RULES, picture_token="character{n}"
        ),
    }
    gateway = FakeGateway(capabilities(modes=modes))
    async with world(tmp_path, gateway=gateway) as w:
        prompt = "[Image 1]" + "a" * 4_991
        with pytest.raises(PromptRejected):
            await w.open(mode=Mode.REFERENCE, prompt=prompt, attachments=(PICTURE,))


async def test_after_a_restart_messages_of_before_are_looked_for_first(tmp_path):
    async with world(tmp_path) as first:
        first.messenger.script["post_card"] = deque([DeliveryFailed("reset", permanent=False)])
        await first.open()
        first.messenger.looked.clear()
    first.clock.turn(5)
    async with world(tmp_path, before=first) as second:
        await second.advance(60, step_s=5)

        assert second.messenger.looked[0] == "post_card"


async def test_the_more_jobs_run_the_longer_the_time_between_their_reads(tmp_path):
    gateway = FakeGateway(capabilities(requests_per_min=60))
    caps = Caps(per_user=99, per_guild=99, per_gateway=99)
    async with world(tmp_path, gateway=gateway, caps=caps, limits=UNLIMITED) as w:
        gateway.read_script.extend([RUNNING] * 99)
        for _ in range(15):
            await w.open()
        delays_s = []
        schedule = w.store.schedule

        async def noting(job_id, *, state, next_at, slow=None):
            delays_s.append((next_at - w.clock.now()).total_seconds())
            await schedule(job_id, state=state, next_at=next_at, slow=slow)

        w.store.schedule = noting
        await w.advance(30, step_s=1)

        assert delays_s
        assert min(delays_s) >= 15 * 0.9


async def test_a_cancelled_jobs_card_of_before_the_crash_is_found_and_says_so(tmp_path):
    async with world(tmp_path) as first:
        failing("card_posted", 10**6)(first.store)
        opened = await first.open()
        job_id = opened.view.job.job_id
        await first.service.cancel(job_id, user_id=1)
    first.clock.turn(5)
    first.messenger.unwritten_cards[job_id] = MessageRef(50, 99)
    async with world(tmp_path, before=first) as second:
        job = await second.job(opened)

        assert (job.state, job.card_face) == (JobState.CANCELLED, CardFace.CANCELLED)
        assert second.messenger.told("edit_card") == ["cancelled"]


async def test_a_fresh_link_is_tried_however_long_the_bot_was_away(tmp_path):
    async with world(tmp_path) as first:
        first.gateway.fetch_script.extend([GatewayUnavailable("hiapi", "status 403")] * 2)
        opened = await first.open()
        await first.advance(20)
    first.clock.turn(9 * 86_400)
    first.gateway.read_script.append(Reading(Progress.FINISHED, video_address="https://cdn.example/fresh.mp4"))
    async with world(tmp_path, before=first) as second:
        await second.advance(30, step_s=1)

        assert (await second.job(opened)).delivery is Delivery.POSTED


async def test_one_failed_read_after_a_long_stop_loses_no_job(tmp_path):
    async with world(tmp_path) as first:
        opened = await first.open()
    first.clock.turn(3 * 86_400)
    first.gateway.read_script.append(GatewayUnavailable("hiapi", "ConnectError", Refusal.CONNECTION))
    async with world(tmp_path, before=first) as second:
        await second.advance(30, step_s=1)

        assert (await second.job(opened)).delivery is Delivery.POSTED


async def test_a_card_somebody_deleted_is_not_edited_again_and_again(tmp_path):
    async with world(tmp_path) as w:
        w.messenger.script["edit_card"] = deque([DeliveryFailed("unknown message", permanent=True)] * 99)
        w.gateway.submit_script.append(SubmissionUnconfirmed("hiapi", "reset"))
        await w.open()
        await w.advance(1_800, step_s=15)

        assert 99 - len(w.messenger.script["edit_card"]) <= 2
