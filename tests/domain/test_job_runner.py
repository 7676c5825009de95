"""Every job is carried to its end, whatever the gateway, Discord, the disk or a crash does to it."""

import asyncio
from collections import deque
from datetime import timedelta

import pytest

from bot.domain.errors import (
    DeliveryFailed,
    DirectMessagesClosed,
    GatewayUnavailable,
    NotYourJob,
    Paused,
    QuotaExceeded,
    Refusal,
    SubmissionRefused,
    SubmissionUnconfirmed,
    TooLateToCancel,
    TooManyFailures,
    TooManyPreviews,
    UploadFailed,
    VideoUnusable,
)
from bot.domain.job import BilledSource, Delivery, Ending, JobState
from bot.domain.ports import Accepted, Progress, Reading
from bot.domain.quota import Caps, LimitKind, Limits
from bot.domain.request import Attachment, Mode, Resolution
from bot.domain.watch_times import WatchTimes
from bot.domain.windows import Window
from tests.domain.world import PRICE, world
from tests.fakes import START, FakeGateway, capabilities

PICTURE = Attachment("https://cdn.example/a.png", "a.png", 1000)
RUNNING = Reading(Progress.RUNNING)


def rare_looks(task_life_s: float) -> WatchTimes:
    return WatchTimes(first_s=20, interval_s=600, interval_max_s=900, task_life_s=task_life_s)


async def committed(w, user_id: int = 1) -> int:
    return (await w.standings(user_id))[0].committed


async def test_a_job_goes_from_the_command_to_the_posted_video_and_is_charged_its_price(tmp_path):
    async with world(tmp_path) as w:
        opened = await w.open()
        assert await committed(w) == PRICE
        await w.advance(20)

        job = await w.job(opened)
        assert (job.state, job.delivery, job.charged_microusd) == (JobState.STORED, Delivery.POSTED, PRICE)
        assert w.messenger.told("post_card") == ["held"]
        assert w.messenger.told("post_video") == ["posting"]
        assert w.messenger.told("edit_card") == ["rendering", "delivered"]
        assert len(w.gateway.submitted) == 1
        assert job.next_at is None


async def test_the_first_look_is_at_the_set_time_and_the_next_ones_follow_closely(tmp_path):
    async with world(tmp_path, times=WatchTimes(first_s=7.0, interval_s=5.0, interval_max_s=15.0)) as w:
        w.gateway.read_script.extend([RUNNING] * 4)
        await w.open()
        await w.advance(6)
        assert not w.gateway.reads
        await w.advance(1)
        assert sum(w.gateway.reads.values()) == 1
        await w.advance(60, step_s=1)

        assert sum(w.gateway.reads.values()) == 5


async def test_own_history_decides_the_first_look_where_none_is_set(tmp_path):
    async with world(tmp_path, times=WatchTimes()) as w:
        for user_id in range(10, 15):
            w.gateway.read_script.extend([RUNNING] * 3)
            await w.open(user_id=user_id)
            await w.advance(90, step_s=1)
        usual_s = await w.store.usual_times_s(gateway="hiapi", mode=Mode.TEXT, resolution=Resolution.P720, duration_s=5)
        job = await w.job(await w.open(user_id=99))

        assert len(usual_s) == 5
        assert job.next_at is not None
        assert usual_s[0] <= (job.next_at - job.since_at).total_seconds() <= usual_s[-1]


@pytest.mark.parametrize("reason", [Refusal.CONTENT, Refusal.MODEL, Refusal.CONNECTION])
async def test_a_certain_refusal_fails_the_job_and_releases_the_hold(tmp_path, reason):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "status 400", reason=reason))
        opened = await w.open()

        job = await w.job(opened)
        assert (job.state, job.ending, job.refusal) == (JobState.FAILED, Ending.REFUSED, reason)
        assert await committed(w) == 0
        assert w.messenger.told("edit_card") == ["failed"]
        await w.advance(7200, step_s=600)
        assert len(w.gateway.submitted) == 1


async def test_an_unconfirmed_submission_keeps_its_hold_and_is_never_sent_again(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(SubmissionUnconfirmed("hiapi", "read timeout"))
        opened = await w.open()
        await w.advance(80_000, step_s=5_000)

        job = await w.job(opened)
        assert job.state is JobState.UNCONFIRMED
        assert (await w.standings())[1].on_hold == PRICE
        assert len(w.gateway.submitted) == 1
        assert w.messenger.told("edit_card") == ["unconfirmed"]


async def test_past_the_task_life_an_unconfirmed_job_is_lost_released_and_booked_as_possible_loss(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(SubmissionUnconfirmed("hiapi", "read timeout"))
        opened = await w.open()
        await w.advance(86_401, step_s=10_000)

        job = await w.job(opened)
        assert (job.state, job.ending) == (JobState.LOST, Ending.TASK_LIFE_OVER)
        assert (await w.standings())[1].committed == 0
        assert (job.attempt.billed_microusd, job.attempt.billed_source) == (PRICE, BilledSource.PRICE)
        assert w.messenger.told("explain") == ["lost"]


async def test_a_failed_read_is_never_a_verdict(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.read_script.extend([GatewayUnavailable("hiapi", "status 404")] * 5)
        opened = await w.open()
        await w.advance(300, step_s=2)

        assert (await w.job(opened)).state is JobState.STORED


async def test_only_a_documented_failure_fails_the_job_and_a_refund_is_booked(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.read_script.append(Reading(Progress.FAILED, refunded=True, refusal=Refusal.CONTENT))
        opened = await w.open()
        await w.advance(20)

        job = await w.job(opened)
        assert (job.state, job.ending, job.refusal) == (JobState.FAILED, Ending.GATEWAY_FAILED, Refusal.CONTENT)
        assert (job.attempt.billed_microusd, job.attempt.billed_source) == (0, BilledSource.REFUNDED)
        assert await committed(w) == 0


async def test_a_running_job_is_lost_only_past_its_task_life(tmp_path):
    async with world(tmp_path, times=rare_looks(5_000)) as w:
        w.gateway.read_script.extend([RUNNING] * 500)
        opened = await w.open()
        await w.advance(4_900, step_s=100)
        assert (await w.job(opened)).state is JobState.RUNNING
        await w.advance(1_200, step_s=100)

        assert (await w.job(opened)).state is JobState.LOST
        assert await committed(w) == 0


async def test_a_job_is_not_lost_while_reads_of_the_others_fail_too(tmp_path):
    async with world(tmp_path, times=WatchTimes(first_s=20, interval_s=60, interval_max_s=60, task_life_s=900)) as w:
        w.gateway.read_script.extend([GatewayUnavailable("hiapi", "status 502")] * 400)
        first, second = await w.open(), await w.open(user_id=2)
        await w.advance(3_000, step_s=60)

        assert (await w.job(first)).state is JobState.RUNNING
        assert (await w.job(second)).state is JobState.RUNNING


async def test_a_video_that_turns_up_after_lost_is_delivered_free(tmp_path):
    async with world(tmp_path, times=rare_looks(2_000)) as w:
        w.gateway.read_script.extend([RUNNING] * 4)
        opened = await w.open()
        await w.advance(3_000, step_s=100)
        assert (await w.job(opened)).state is JobState.LOST
        w.gateway.read_script.clear()
        await w.advance(8_000, step_s=200)

        job = await w.job(opened)
        assert (job.state, job.delivery) == (JobState.LOST, Delivery.POSTED)
        assert await committed(w) == 0


async def test_success_without_an_address_is_read_again_for_two_minutes_and_then_fails(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.read_script.extend([Reading(Progress.FINISHED)] * 100)
        opened = await w.open()
        await w.advance(100, step_s=5)
        assert (await w.job(opened)).state is JobState.FINISHED
        await w.advance(60, step_s=5)

        job = await w.job(opened)
        assert (job.state, job.ending) == (JobState.FAILED, Ending.NO_VIDEO)
        assert await committed(w) == 0


@pytest.mark.parametrize("error", [GatewayUnavailable("hiapi", "reset"), VideoUnusable("hiapi", "html")])
async def test_a_video_that_cannot_be_fetched_is_fetched_again(tmp_path, error):
    async with world(tmp_path) as w:
        w.gateway.fetch_script.extend([error] * 3)
        opened = await w.open()
        await w.advance(60, step_s=1)

        assert (await w.job(opened)).delivery is Delivery.POSTED
        assert await committed(w) == PRICE


async def test_no_usable_video_before_the_link_dies_fails_and_releases(tmp_path):
    async with world(tmp_path) as w:
        dying = Reading(Progress.FINISHED, "https://cdn.example/v.mp4", START + timedelta(seconds=200))
        w.gateway.read_script.extend([dying] * 500)
        w.gateway.fetch_script.extend([VideoUnusable("hiapi", "html")] * 500)
        opened = await w.open()
        await w.advance(400, step_s=5)

        assert (await w.job(opened)).ending is Ending.NO_VIDEO
        assert await committed(w) == 0


async def test_people_pay_the_smaller_of_hold_and_what_the_gateway_reported(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(Accepted("gw-1", billed_microusd=400_000))
        opened = await w.open()
        await w.advance(20)

        assert (await w.job(opened)).charged_microusd == 400_000
        assert await committed(w) == 400_000


async def test_a_bill_above_the_price_makes_the_mode_unpriced_at_once(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(Accepted("gw-1", billed_microusd=PRICE + 1))
        opened = await w.open()
        await w.advance(20)

        assert (await w.job(opened)).charged_microusd == PRICE
        assert w.overbilled_rows
        offers = {offer.capabilities.gateway: offer for offer in w.service.offers(w.ask())}
        assert offers["hiapi"].price_microusd is None


async def test_200_commands_at_once_with_money_for_three_open_exactly_three(tmp_path):
    limits = Limits(3 * PRICE, None, None, None)
    async with world(tmp_path, limits=limits) as w:
        answers = await asyncio.gather(*(w.service.open(w.ask()) for _ in range(200)), return_exceptions=True)
        await w.settle()

        assert sum(not isinstance(answer, Exception) for answer in answers) == 3
        assert all(isinstance(answer, QuotaExceeded) for answer in answers if isinstance(answer, Exception))
        assert await committed(w) == 3 * PRICE


@pytest.mark.parametrize(
    ("limits", "kind", "window"),
    [
        (Limits(PRICE, None, None, None), LimitKind.USER, Window.DAY),
        (Limits(None, PRICE, None, None), LimitKind.USER, Window.MONTH),
        (Limits(None, None, PRICE, None), LimitKind.GUILD, Window.MONTH),
        (Limits(None, None, None, PRICE), LimitKind.BOT, Window.MONTH),
    ],
)
async def test_each_limit_refuses_what_it_does_not_allow_and_names_itself(tmp_path, limits, kind, window):
    async with world(tmp_path, limits=limits) as w:
        await w.open()
        with pytest.raises(QuotaExceeded) as caught:
            await w.open()

        standing = caught.value.standing
        assert (standing.kind, standing.window, standing.available_microusd) == (kind, window, 0)
        assert caught.value.needed_microusd == PRICE


async def test_the_same_interaction_twice_opens_one_job(tmp_path):
    async with world(tmp_path) as w:
        ask = w.ask(mode=Mode.REFERENCE, prompt="[Image 1] runs", attachments=(PICTURE,))
        first, second = await w.service.open(ask), await w.service.open(ask)
        await w.settle()

        assert first.view.job.job_id == second.view.job.job_id
        assert len(w.gateway.submitted) == 1
        assert len(w.pictures.kept) == 1


async def test_five_uncharged_failures_and_the_person_waits_for_the_next_day(tmp_path):
    async with world(tmp_path) as w:
        for _ in range(5):
            w.gateway.submit_script.append(SubmissionRefused("hiapi", "moderation", reason=Refusal.CONTENT))
            await w.open()
        with pytest.raises(TooManyFailures):
            await w.open()
        assert await w.open(user_id=2)
        await w.advance(12 * 3600 + 1, step_s=3600)

        assert await w.open()


async def test_failures_that_are_the_gateways_own_do_not_count(tmp_path):
    async with world(tmp_path) as w:
        for _ in range(6):
            w.gateway.submit_script.append(SubmissionRefused("hiapi", "status 404", reason=Refusal.MODEL))
            await w.open()

        assert await w.open()


async def test_the_free_preview_is_capped_per_person_and_day_and_writes_no_money(tmp_path):
    async with world(tmp_path) as w:
        for _ in range(10):
            await w.open(gateway="animatic")
        with pytest.raises(TooManyPreviews):
            await w.open(gateway="animatic")

        assert await committed(w) == 0


async def test_jobs_over_a_cap_wait_in_line_and_go_when_there_is_room(tmp_path):
    async with world(tmp_path, caps=Caps(per_user=2, per_guild=10, per_gateway=8)) as w:
        opened = [await w.open() for _ in range(4)]
        assert len(w.gateway.submitted) == 2
        view = await w.service.job(opened[3].view.job.job_id, user_id=1)
        assert view.place_in_line == 2
        await w.advance(60, step_s=5)

        assert len(w.gateway.submitted) == 4


async def test_a_held_job_can_be_cancelled_and_its_hold_is_released_once(tmp_path):
    async with world(tmp_path, caps=Caps(per_user=0, per_guild=10, per_gateway=8)) as w:
        opened = await w.open()
        job_id = opened.view.job.job_id
        for _ in range(2):
            assert (await w.service.cancel(job_id, user_id=1)).job.state is JobState.CANCELLED
        await w.settle()

        assert await committed(w) == 0
        assert w.messenger.told("edit_card") == ["cancelled"]


async def test_cancelling_later_is_answered_honestly_and_changes_nothing(tmp_path):
    async with world(tmp_path) as w:
        opened = await w.open()
        with pytest.raises(TooLateToCancel) as caught:
            await w.service.cancel(opened.view.job.job_id, user_id=1)

        assert (caught.value.gateway_title, caught.value.ended) == ("Hiapi", False)
        assert await committed(w) == PRICE


async def test_somebody_elses_job_and_no_job_get_the_same_answer(tmp_path):
    async with world(tmp_path) as w:
        opened = await w.open()
        for job_id in (opened.view.job.job_id, "0000000000000000", "nonsense"):
            with pytest.raises(NotYourJob):
                await w.service.job(job_id, user_id=2)
            with pytest.raises(NotYourJob):
                await w.service.cancel(job_id, user_id=2)


async def test_an_hour_in_line_ends_the_job_and_releases_the_hold(tmp_path):
    async with world(tmp_path, caps=Caps(per_user=0, per_guild=10, per_gateway=8)) as w:
        opened = await w.open()
        await w.advance(3_601, step_s=600)

        assert (await w.job(opened)).ending is Ending.LINE_TOO_LONG
        assert await committed(w) == 0
        assert w.messenger.told("explain") == ["failed"]


async def test_pausing_stops_new_commands_and_submissions_and_resuming_goes_on(tmp_path):
    async with world(tmp_path, caps=Caps(per_user=1, per_guild=10, per_gateway=8)) as w:
        await w.open()
        waiting = await w.open()
        await w.store.set_paused(True)
        with pytest.raises(Paused):
            await w.open()
        await w.advance(120, step_s=5)
        assert (await w.job(waiting)).state is JobState.HELD
        await w.store.set_paused(False)
        await w.advance(60, step_s=5)

        assert (await w.job(waiting)).state is JobState.STORED


async def test_a_place_that_is_gone_ends_the_job_before_anything_is_bought(tmp_path):
    async with world(tmp_path) as w:
        w.messenger.reachable = False
        opened = await w.open()

        assert (await w.job(opened)).ending is Ending.PLACE_GONE
        assert not w.gateway.submitted
        assert await committed(w) == 0


async def test_a_card_that_can_never_be_posted_ends_the_job_and_says_so_elsewhere(tmp_path):
    async with world(tmp_path) as w:
        w.messenger.script["post_card"] = deque([DeliveryFailed("403", permanent=True)])
        opened = await w.open()

        assert (await w.job(opened)).ending is Ending.PLACE_GONE
        assert w.messenger.told("explain") == ["failed"]
        assert not w.gateway.submitted


async def test_a_card_that_is_not_posted_yet_is_tried_again_looking_first(tmp_path):
    async with world(tmp_path) as w:
        w.messenger.script["post_card"] = deque([DeliveryFailed("reset", permanent=False)])
        opened = await w.open()
        assert not w.gateway.submitted
        await w.advance(2)

        assert "post_card" in w.messenger.looked
        assert (await w.job(opened)).state is JobState.RUNNING


async def test_pictures_without_an_address_fail_the_job_unsubmitted(tmp_path):
    async with world(tmp_path) as w:
        w.hosting.script.append(UploadFailed("gone", permanent=True))
        opened = await w.open(mode=Mode.IMAGE, attachments=(PICTURE,))

        assert (await w.job(opened)).ending is Ending.UPLOAD_IMPOSSIBLE
        assert not w.gateway.submitted
        assert await committed(w) == 0


async def test_pictures_without_an_address_for_now_are_asked_for_again(tmp_path):
    async with world(tmp_path) as w:
        w.hosting.script.append(UploadFailed("later", permanent=False))
        await w.open(mode=Mode.IMAGE, attachments=(PICTURE,))
        assert not w.gateway.submitted
        await w.advance(16, step_s=1)

        assert len(w.gateway.submitted) == 1
        assert b"https://cdn.example/1-a.png" in w.gateway.submitted[0].body


async def test_with_a_nearly_full_disk_nothing_is_submitted(tmp_path):
    async with world(tmp_path) as w:
        w.library.free = 999_999_999
        await w.open()
        assert not w.gateway.submitted
        w.library.free = 10**12
        await w.advance(61, step_s=5)

        assert len(w.gateway.submitted) == 1


async def test_delivery_repeats_looking_first_until_discord_takes_it(tmp_path):
    async with world(tmp_path) as w:
        w.messenger.script["post_video"] = deque([DeliveryFailed("reset", permanent=False)] * 6)
        opened = await w.open()
        await w.advance(20)
        assert (await w.job(opened)).delivery is Delivery.DUE
        await w.advance(60, step_s=1)

        assert (await w.job(opened)).delivery is Delivery.POSTED
        assert w.messenger.told("post_video") == ["posting"]
        assert w.messenger.looked == ["post_video"] * 6


async def test_a_definite_no_from_every_place_keeps_the_video_for_show(tmp_path):
    async with world(tmp_path) as w:
        w.messenger.script["post_video"] = deque([DeliveryFailed("403", permanent=True)])
        opened = await w.open()
        await w.advance(20)

        job = await w.job(opened)
        assert (job.state, job.delivery) == (JobState.STORED, Delivery.GIVEN_UP)
        assert job.charged_microusd == PRICE


async def test_delivery_is_given_up_after_three_days(tmp_path):
    async with world(tmp_path) as w:
        w.messenger.script["post_video"] = deque([DeliveryFailed("502", permanent=False)] * 2_000)
        opened = await w.open()
        await w.advance(20)
        await w.advance(3 * 86_400 + 1_300, step_s=601)

        assert (await w.job(opened)).delivery is Delivery.GIVEN_UP


async def test_a_private_job_whose_direct_messages_are_closed_is_refused_before_the_hold(tmp_path):
    async with world(tmp_path) as w:
        w.messenger.direct_messages_open = False
        with pytest.raises(DirectMessagesClosed):
            await w.open(private=True, mode=Mode.IMAGE, attachments=(PICTURE,))

        assert await committed(w) == 0
        assert not w.pictures.kept


async def test_after_a_crash_a_job_being_submitted_is_unconfirmed_and_not_sent_again(tmp_path):
    async with world(tmp_path) as first:
        first.gateway.gate.clear()
        opened = await first.open()
        assert (await first.job(opened)).state is JobState.SUBMITTING
    first.gateway.gate.set()
    async with world(tmp_path, before=first) as second:
        await second.advance(600, step_s=60)

        assert (await second.job(opened)).state is JobState.UNCONFIRMED
        assert len(second.gateway.submitted) == 1
        assert await committed(second) == PRICE


@pytest.mark.parametrize("seconds", [0, 10, 19])
async def test_after_a_crash_a_job_goes_on_where_it_was(tmp_path, seconds):
    async with world(tmp_path) as first:
        opened = await first.open()
        if seconds:
            await first.advance(seconds)
    async with world(tmp_path, before=first) as second:
        await second.advance(60, step_s=5)

        job = await second.job(opened)
        assert (job.state, job.delivery) == (JobState.STORED, Delivery.POSTED)
        assert len(second.gateway.submitted) == 1
        assert second.messenger.told("post_card") == ["held"]
        assert second.messenger.told("post_video") == ["posting"]


async def test_stopping_awaits_the_submission_under_way_and_sends_no_new_one(tmp_path):
    async with world(tmp_path, caps=Caps(per_user=1, per_guild=10, per_gateway=8)) as w:
        w.gateway.gate.clear()
        under_way, in_line = await w.open(), await w.open()
        w.runner.stop()
        await asyncio.sleep(0)
        w.gateway.gate.set()
        await w._running

        assert (await w.job(under_way)).state is JobState.RUNNING
        assert (await w.job(in_line)).state is JobState.HELD
        assert len(w.gateway.submitted) == 1


async def test_a_slow_job_says_so_once(tmp_path):
    async with world(tmp_path, times=WatchTimes(first_s=20, slow_after_s=60)) as w:
        w.gateway.read_script.extend([RUNNING] * 12)
        await w.open()
        await w.advance(110, step_s=1)

        assert w.messenger.told("edit_card") == ["rendering", "slow"]


async def test_an_estimate_comes_from_own_history_and_is_taken_off_the_card_when_it_has_passed(tmp_path):
    async with world(tmp_path) as w:
        opened = await w.open()
        assert opened.view.usually_done_at is None
        for user_id in range(10, 15):
            await w.open(user_id=user_id)
        await w.advance(60, step_s=1)
        w.messenger.said.clear()
        w.gateway.read_script.extend([RUNNING] * 20)
        opened = await w.open(user_id=20)
        assert opened.view.usually_done_at is not None
        await w.advance(100, step_s=5)

        assert w.messenger.told("edit_card")[:2] == ["rendering", "slow"]


async def test_reads_of_many_jobs_stay_within_the_gateways_limit(tmp_path):
    gateway = FakeGateway(capabilities(requests_per_min=8))
    caps = Caps(per_user=100, per_guild=100, per_gateway=100)
    limits = Limits(None, None, None, None)
    async with world(tmp_path, gateway=gateway, caps=caps, limits=limits) as w:
        gateway.read_script.extend([RUNNING] * 1_000)
        for _ in range(6):
            await w.open()
        await w.advance(60, step_s=1)
        before = sum(gateway.reads.values()) + len(gateway.submitted)
        await w.advance(60, step_s=1)

        assert sum(gateway.reads.values()) + len(gateway.submitted) - before <= 10
