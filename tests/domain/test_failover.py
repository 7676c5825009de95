"""A certain refusal about the gateway sends a job of `auto` elsewhere, and only where it costs no more."""

from collections import deque
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.errors import (
    DeliveryFailed,
    GatewayRejected,
    QuotaExceeded,
    Refusal,
    SubmissionRefused,
    SubmissionUnconfirmed,
    Unavailable,
)
from bot.domain.job import Delivery, Ending, JobState
from bot.domain.pricing import PriceRow
from bot.domain.quota import Caps, Limits
from bot.domain.request import Attachment, Mode, PictureRules, Resolution
from tests.domain.world import PRICE, world
from tests.fakes import FakeGateway, capabilities

CHEAP = {Resolution.P720: PriceRow(second_microusd=120_000)}
DEAR = {Resolution.P720: PriceRow(second_microusd=130_000)}
SAME = {Resolution.P720: PriceRow(second_microusd=129_000)}
PICTURE = Attachment("https://cdn.example/a.png", "a.png", 1000)
ABOUT_GATEWAY = [reason for reason in Refusal if reason.about_gateway]


def busy(retry_after_s=None):
    return SubmissionRefused("hiapi", "status 429", Refusal.BUSY, retry_after_s=retry_after_s)


def other(prices=SAME, **changes) -> FakeGateway:
    """A second gateway that is never the cheapest, so that `auto` takes the first one."""
    return FakeGateway(capabilities("shortapi", prices=prices, model_title="HappyHorse 1.0", **changes))


async def books_of(w, opened):
    return next(book for book in await w.store.books() if book.job_id == opened.view.job.job_id)


@pytest.mark.parametrize("reason", ABOUT_GATEWAY)
async def test_a_refusal_about_the_gateway_sends_the_job_to_another_one_at_once(tmp_path, reason):
    async with world(tmp_path, other_gateway=other()) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", reason))
        opened = await w.open()
        job = await w.job(opened)

        assert (job.state, job.request.gateway, job.attempt_count) == (JobState.RUNNING, "shortapi", 2)
        await w.advance(21)
        assert (await w.job(opened)).delivery is Delivery.POSTED
        assert [len(gateway.submitted) for gateway in (w.gateway, w.other_gateway)] == [1, 1]
        assert (await books_of(w, opened)).settled_microusd == PRICE


async def test_the_card_names_the_gateway_and_model_that_make_it_in_the_end(tmp_path):
    async with world(tmp_path, other_gateway=other()) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.CREDIT))
        opened = await w.open()
        view = await w.service.job(opened.view.job.job_id, user_id=1)

        assert (view.gateway_title, view.model_title) == ("Shortapi", "HappyHorse 1.0")


async def test_the_settle_is_the_other_gateways_price_and_the_rest_is_free_again(tmp_path):
    second = other(prices={Resolution.P720: PriceRow(second_microusd=129_000)})
    async with world(tmp_path, other_gateway=second) as w:
        w.gateway.submit_script.append(busy(30.0))
        w.gateway.gate.clear()
        opened = await w.open()
        second.capabilities = replace(second.capabilities, prices=CHEAP)
        w.gateway.gate.set()
        await w.settle()
        await w.advance(25)

        book = await books_of(w, opened)
        assert (book.held_microusd, book.settled_microusd) == (PRICE, 600_000)
        standings = await w.standings()
        assert standings[0].committed == 600_000


@pytest.mark.parametrize(
    "unfit",
    [
        pytest.param(other(prices=DEAR), id="dearer than the hold"),
        pytest.param(other(prices={}), id="unpriced"),
        pytest.param(other(configured=False), id="no key"),
        pytest.param(other(free=True), id="free previews are not the same"),
        pytest.param(
            FakeGateway(replace(capabilities("shortapi"), modes={Mode.IMAGE: capabilities().modes[Mode.IMAGE]})),
            id="lacks the mode",
        ),
        pytest.param(
            FakeGateway(
                replace(
                    capabilities("shortapi"),
                    modes={Mode.TEXT: replace(capabilities().modes[Mode.TEXT], ratios=("1:1",))},
                )
            ),
            id="lacks the ratio",
        ),
    ],
)
async def test_a_gateway_that_cannot_do_the_very_same_within_the_hold_is_no_way_out(tmp_path, unfit):
    async with world(tmp_path, other_gateway=unfit) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.CREDIT))
        opened = await w.open(gateway="auto")
        job = await w.job(opened)

        assert (job.state, job.ending, job.refusal) == (JobState.FAILED, Ending.REFUSED, Refusal.CREDIT)
        assert unfit.submitted == []
        assert (await books_of(w, opened)).released_microusd == PRICE


async def test_pictures_that_do_not_fit_the_other_gateways_rules_keep_the_job_from_it(tmp_path):
    strict = PictureRules(count_min=1, count_max=9, short_side_min_px=700, bytes_max=10_000_000)
    modes = {Mode.REFERENCE: replace(capabilities().modes[Mode.REFERENCE], pictures=strict)}
    unfit = FakeGateway(replace(capabilities("shortapi"), modes=modes))
    async with world(tmp_path, other_gateway=unfit) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.MODEL))
        opened = await w.open(mode=Mode.REFERENCE, attachments=(PICTURE,))

        assert (await w.job(opened)).state is JobState.FAILED
        assert unfit.submitted == []


async def test_a_gateway_that_a_person_named_is_never_left(tmp_path):
    async with world(tmp_path, other_gateway=other(prices=CHEAP)) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.CREDIT))
        opened = await w.open(gateway="hiapi")

        assert (await w.job(opened)).state is JobState.FAILED
        assert w.other_gateway.submitted == []


@pytest.mark.parametrize("reason", [reason for reason in Refusal if not reason.about_gateway])
async def test_a_refusal_about_the_request_is_final(tmp_path, reason):
    async with world(tmp_path, other_gateway=other()) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", reason))
        opened = await w.open()

        assert (await w.job(opened)).state is JobState.FAILED
        assert w.other_gateway.submitted == []


async def test_an_unclear_answer_is_no_reason_to_buy_elsewhere(tmp_path):
    async with world(tmp_path, other_gateway=other()) as w:
        w.gateway.submit_script.append(SubmissionUnconfirmed("hiapi", "reset"))
        opened = await w.open()
        await w.advance(3_600, step_s=60)

        assert (await w.job(opened)).state is JobState.UNCONFIRMED
        assert w.other_gateway.submitted == []


@pytest.mark.parametrize(("retry_after_s", "wait_s"), [(None, 5), (0.0, 5), (17.0, 17), (300.0, 300)])
async def test_a_busy_gateway_gets_the_job_again_as_a_new_attempt_and_not_too_early(tmp_path, retry_after_s, wait_s):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(busy(retry_after_s))
        opened = await w.open(gateway="hiapi")
        assert (await w.job(opened)).state is JobState.HELD
        await w.advance(wait_s - 1, step_s=0.5)
        assert len(w.gateway.submitted) == 1
        await w.advance(2, step_s=0.5)

        assert (await w.job(opened)).state is JobState.RUNNING
        assert [attempt.number for attempt in w.gateway.submitted] == [1, 2]
        assert len({attempt.idempotency_key for attempt in w.gateway.submitted}) == 2
        assert w.messenger.told("edit_card") == ["held", "rendering"]


async def test_a_gateway_that_stays_busy_is_left_after_an_hour_in_line_and_nothing_is_charged(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.extend([busy(60.0)] * 100)
        opened = await w.open(gateway="hiapi")
        await w.advance(3_661, step_s=5)
        job = await w.job(opened)

        assert (job.state, job.ending) == (JobState.FAILED, Ending.LINE_TOO_LONG)
        assert 50 < len(w.gateway.submitted) <= 61
        book = await books_of(w, opened)
        assert (book.released_microusd, book.billed_microusd) == (PRICE, 0)


async def test_when_both_gateways_are_busy_the_job_waits_for_the_second(tmp_path):
    async with world(tmp_path, other_gateway=other()) as w:
        w.gateway.submit_script.append(busy(10.0))
        w.other_gateway.submit_script.append(busy(8.0))
        opened = await w.open()
        assert (await w.job(opened)).state is JobState.HELD
        await w.advance(9, step_s=1)

        job = await w.job(opened)
        assert (job.state, job.request.gateway, job.attempt_count) == (JobState.RUNNING, "shortapi", 3)
        assert len(w.gateway.submitted) == 1


async def test_a_job_waiting_for_a_busy_gateway_can_still_be_cancelled(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(busy(30.0))
        opened = await w.open(gateway="hiapi")
        await w.service.cancel(opened.view.job.job_id, user_id=1)
        await w.advance(60, step_s=5)

        assert (await w.job(opened)).state is JobState.CANCELLED
        assert len(w.gateway.submitted) == 1


async def test_a_restart_keeps_to_the_time_the_busy_gateway_asked_for(tmp_path):
    async with world(tmp_path) as first:
        first.gateway.submit_script.append(busy(40.0))
        opened = await first.open(gateway="hiapi")
    async with world(tmp_path, before=first) as second:
        await second.advance(35, step_s=1)
        assert len(second.gateway.submitted) == 1
        await second.advance(10, step_s=1)

        assert (await second.job(opened)).state is JobState.RUNNING
        assert len(second.gateway.submitted) == 2


async def test_jobs_in_line_for_a_gateway_without_credit_end_or_move_unsent(tmp_path):
    async with world(tmp_path, other_gateway=other(), caps=Caps(1, 10, 8)) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.CREDIT))
        w.gateway.gate.clear()
        first = await w.open(gateway="hiapi")
        named = await w.open(gateway="hiapi")
        auto = await w.open(gateway="auto")
        w.gateway.gate.set()
        await w.settle()

        assert [(await w.job(opened)).refusal for opened in (first, named)] == [Refusal.CREDIT, Refusal.CREDIT]
        assert [(await w.job(opened)).state for opened in (first, named)] == [JobState.FAILED, JobState.FAILED]
        assert ((await w.job(auto)).state, (await w.job(auto)).request.gateway) == (JobState.RUNNING, "shortapi")
        assert len(w.gateway.submitted) == 1


async def test_a_gateway_that_is_out_is_offered_to_nobody_and_says_so(tmp_path):
    async with world(tmp_path, other_gateway=other()) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.KEY))
        await w.open()

        with pytest.raises(GatewayRejected) as refused:
            await w.service.quote(w.ask(gateway="hiapi"))
        assert refused.value.why is Unavailable.OUT
        assert (await w.service.quote(w.ask())).request.gateway == "shortapi"


async def test_with_every_paid_gateway_out_auto_is_refused_and_makes_no_preview(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.KEY))
        await w.open()

        with pytest.raises(GatewayRejected) as refused:
            await w.service.quote(w.ask())
        assert (refused.value.gateway_title, refused.value.why) == ("", Unavailable.OUT)


async def test_ten_minutes_later_one_job_finds_out_whether_there_is_credit_again(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.CREDIT))
        await w.open()
        await w.advance(601)
        opened = await w.open()

        assert (await w.job(opened)).state is JobState.RUNNING
        assert w.breakers.out() == {}


async def test_three_unclear_answers_in_a_row_keep_further_jobs_in_line_for_a_while(tmp_path):
    async with world(tmp_path, caps=Caps(10, 10, 10)) as w:
        w.gateway.submit_script.extend([SubmissionUnconfirmed("hiapi", "reset")] * 3)
        for _ in range(3):
            await w.open()
        waiting = await w.open()
        assert (await w.job(waiting)).state is JobState.HELD
        assert len(w.gateway.submitted) == 3
        await w.advance(16)

        assert (await w.job(waiting)).state is JobState.RUNNING


async def test_an_overbilled_gateway_is_left_by_jobs_of_auto_that_wait_for_it(tmp_path):
    async with world(tmp_path, other_gateway=other(), caps=Caps(1, 10, 8)) as w:
        await w.open()
        waiting = await w.open()
        await w.overbilled.add(w.gateway.capabilities, (await w.job(waiting)).request, billed_microusd=2 * PRICE)
        await w.advance(25)

        job = await w.job(waiting)
        assert (job.state, job.request.gateway) == (JobState.RUNNING, "shortapi")


async def test_a_failover_holds_no_second_amount(tmp_path):
    async with world(tmp_path, other_gateway=other(), limits=Limits(PRICE, None, None, None)) as w:
        w.gateway.submit_script.append(busy())
        opened = await w.open()
        with pytest.raises(QuotaExceeded):
            await w.service.open(w.ask())

        assert (await w.job(opened)).request.gateway == "shortapi"
        assert (await books_of(w, opened)).held_microusd == PRICE


async def test_a_clock_set_back_an_hour_delays_nothing(tmp_path):
    async with world(tmp_path) as w:
        w.gateway.submit_script.append(busy(30.0))
        waiting = await w.open(gateway="hiapi")
        running = await w.open()
        w.clock.set_back(3_600)
        await w.advance(120, step_s=5)

        assert (await w.job(running)).delivery is Delivery.POSTED
        assert (await w.job(waiting)).delivery is Delivery.POSTED
        assert w.clock.now() - (await w.job(running)).created_at < timedelta(0)


async def test_a_line_before_a_busy_gateway_takes_no_reads_from_its_running_jobs(tmp_path):
    slow = FakeGateway(capabilities(requests_per_min=45))
    async with world(tmp_path, gateway=slow, caps=Caps(100, 100, 100), limits=Limits(None, None, None, None)) as w:
        running = [await w.open(gateway="hiapi") for _ in range(4)]
        w.gateway.submit_script.extend([busy()] * 1_000)
        for _ in range(30):
            await w.open(gateway="hiapi")
        await w.advance(60, step_s=1)

        assert [(await w.job(opened)).delivery for opened in running] == [Delivery.POSTED] * 4


@pytest.mark.parametrize("trouble", ["open", "half open"])
async def test_a_line_before_an_open_breaker_takes_no_reads_from_its_running_jobs(tmp_path, trouble):
    slow = FakeGateway(capabilities(requests_per_min=8))
    async with world(tmp_path, gateway=slow, caps=Caps(100, 100, 100), limits=Limits(None, None, None, None)) as w:
        running = await w.open(gateway="hiapi")
        w.breakers.refused("hiapi", Refusal.BUSY, retry_after_s=900.0 if trouble == "open" else 0.0)
        w.gateway.gate.clear()
        for _ in range(20):
            await w.open(gateway="hiapi")
        await w.advance(60, step_s=1)

        assert (await w.job(running)).delivery is Delivery.POSTED
        assert len(w.gateway.submitted) <= 2


async def test_a_job_cancelled_while_its_gateway_rests_says_so_at_once(tmp_path):
    async with world(tmp_path) as w:
        w.breakers.refused("hiapi", Refusal.BUSY, retry_after_s=300.0)
        opened = await w.open()
        await w.service.cancel(opened.view.job.job_id, user_id=1)
        await w.settle()

        assert w.messenger.told("edit_card") == ["cancelled"]


async def test_a_prompt_that_grows_too_long_in_the_other_gateways_tokens_does_not_go_there(tmp_path):
    modes = {Mode.REFERENCE: replace(capabilities().modes[Mode.REFERENCE], picture_token="character{n}long")}
    longer = FakeGateway(replace(capabilities("shortapi"), modes=modes))
    async with world(tmp_path, other_gateway=longer) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.CREDIT))
        opened = await w.open(mode=Mode.REFERENCE, attachments=(PICTURE,), prompt="[Image 1]" * 550)

        assert (await w.job(opened)).state is JobState.FAILED
        assert longer.submitted == []


async def test_a_callback_for_what_was_refused_takes_the_job_out_of_the_line(tmp_path):
    async with world(tmp_path, other_gateway=other()) as w:
        w.gateway.submit_script.append(busy(30.0))
        opened = await w.open(gateway="hiapi")
        await w.store.hint(opened.view.job.job_id, number=1, gateway_job_id="taken", now=w.clock.now())
        w.runner.wake()
        await w.settle()
        await w.advance(60, step_s=5)

        job = await w.job(opened)
        assert (job.state, job.delivery, job.attempt_count) == (JobState.STORED, Delivery.POSTED, 1)
        assert len(w.gateway.submitted) == 1
        book = await books_of(w, opened)
        assert (book.settled_microusd, book.billed_microusd) == (PRICE, PRICE)


async def test_a_callback_of_the_first_gateway_after_a_failover_moves_nothing(tmp_path):
    async with world(tmp_path, other_gateway=other()) as w:
        w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", Refusal.CREDIT))
        opened = await w.open(gateway="auto")
        assert (await w.job(opened)).state is JobState.RUNNING
        await w.store.hint(opened.view.job.job_id, number=1, gateway_job_id="taken", now=w.clock.now())

        assert (await w.job(opened)).state is JobState.RUNNING
        assert (await w.job(opened)).attempt_count == 2


async def test_a_clock_set_back_across_a_restart_delays_nothing(tmp_path):
    async with world(tmp_path) as first:
        first.gateway.submit_script.append(busy(30.0))
        opened = await first.open(gateway="hiapi")
    first.clock.set_back(3_600)
    async with world(tmp_path, before=first) as second:
        await second.advance(60, step_s=5)

        assert (await second.job(opened)).delivery is Delivery.POSTED


async def test_after_a_restart_with_the_clock_set_back_messages_are_looked_for(tmp_path):
    async with world(tmp_path) as first:
        await first.open()
        first.messenger.script["post_video"] = deque([DeliveryFailed("503", permanent=False)])
        await first.advance(20)
    first.clock.set_back(3_600)
    async with world(tmp_path, before=first) as second:
        await second.advance(5, step_s=1)

        assert "post_video" in second.messenger.looked
