"""What managers do about jobs: one of two at once wins, money returns where it came from, a video is there once."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.errors import AmountRejected, ChangeProblem, ChangeRejected, DeliveryFailed
from bot.domain.guild import Act, ActKind, GuildJob
from bot.domain.job import Attempt, BilledSource, CardFace, Delivery, Ending, Job, JobState, MessageRef
from bot.domain.ports import CardView
from bot.domain.quota import Caps, LimitKind
from bot.domain.rules import Rule, Scope
from bot.domain.store import Billing
from bot.domain.windows import Window
from tests.domain.world import OPERATOR, PRICE, World, world
from tests.fakes import FakeMessenger
from tests.presentation.views import view

GUILD, MANAGER, DAY_S = 7, 800, 86_400.0
IN_LINE = Caps(per_user=0, per_guild=0, per_gateway=0)


class Channel(FakeMessenger):
    """Knows which of its videos are there; one that is looked for and there is no second message."""

    def __init__(self) -> None:
        super().__init__()
        self.videos: dict[str, MessageRef] = {}
        self.closed = False

    async def post_video(self, view: CardView, *, look_first: bool) -> MessageRef:
        job_id = view.job.job_id
        if look_first and job_id in self.videos:
            return self.videos[job_id]
        if self.closed:
            raise DeliveryFailed("every place refused", permanent=True)
        assert job_id not in self.videos, "a second video"
        self.videos[job_id] = await super().post_video(view, look_first=look_first)
        return self.videos[job_id]


async def finished(w: World, **changes) -> Job:
    """Return a job whose video was posted, or given up where the channel is closed."""
    opened = await w.open(**changes)
    await w.advance(30)
    job = await w.job(opened)
    assert job.state is JobState.STORED
    w.library.path(job.video.name).write_bytes(b"video")
    return job


async def refund(w: World, job: Job, amount: str | None = None, *, actor_id: int = MANAGER, reason: str = "bad video"):
    return await w.guild_jobs.refund(job.job_id, guild_id=GUILD, actor_id=actor_id, amount=amount, reason=reason)


async def release(w: World, job: Job) -> GuildJob:
    return await w.guild_jobs.release(job.job_id, guild_id=GUILD, actor_id=MANAGER)


async def deliver(w: World, job: Job) -> GuildJob:
    again = await w.guild_jobs.deliver_again(job.job_id, guild_id=GUILD, actor_id=MANAGER)
    await w.settle()
    return again


async def committed(w: World, kind: LimitKind) -> int:
    [standing] = [each for each in await w.standings() if (each.kind, each.window) == (kind, Window.MONTH)]
    return standing.committed


async def acts(w: World) -> list[tuple[ActKind, int, int | None, str | None]]:
    entries = await w.store.audit(GUILD, before_id=None, limit=10)
    return [(entry.kind, entry.actor_id, entry.user_id, entry.job_id) for entry in entries]


async def refused(awaited) -> tuple[ChangeProblem, str]:
    with pytest.raises(ChangeRejected) as caught:
        await awaited
    return caught.value.problem, caught.value.detail


async def test_a_released_job_ends_with_its_hold_given_back_and_its_card_saying_so(tmp_path: Path) -> None:
    async with world(tmp_path, caps=IN_LINE) as w:
        job = await w.job(await w.open())

        released = await release(w, job)
        await w.settle()

        now = await w.store.job(job.job_id)
        assert (now.state, now.ending, now.charged_microusd) == (JobState.FAILED, Ending.RELEASED, 0)
        assert released.state is JobState.FAILED
        assert w.messenger.told("edit_card") == ["failed"]
        assert w.gateway.submitted == []
        assert await committed(w, LimitKind.USER) == 0
        assert await acts(w) == [(ActKind.RELEASED, MANAGER, 1, job.job_id)]


async def test_of_a_release_and_a_submission_at_once_exactly_one_wins(tmp_path: Path) -> None:
    async with world(tmp_path, caps=IN_LINE) as w:
        for turn in range(6):
            job = await w.job(await w.open())
            now = w.clock.now()
            attempt = Attempt(job.job_id, 1, "hiapi", "m", b"{}", f"{job.job_id}-1", "token", now, PRICE)
            both = [w.store.begin_attempt(attempt, next_at=now), release(w, job)]

            done = await asyncio.gather(*(both if turn % 2 else both[::-1]), return_exceptions=True)

            begun, released = done if turn % 2 else done[::-1]
            state = (await w.store.job(job.job_id)).state
            if begun:
                assert isinstance(released, ChangeRejected)
                assert (released.problem, state) == (ChangeProblem.NOT_IN_LINE, JobState.SUBMITTING)
            else:
                assert (released.state, state) == (JobState.FAILED, JobState.FAILED)


@pytest.mark.parametrize(
    ("state", "says"),
    [(JobState.RUNNING, "running"), (JobState.UNCONFIRMED, "unconfirmed"), (JobState.STORED, "stored")],
)
async def test_a_job_that_left_the_line_is_not_released_and_the_answer_says_where_it_is(
    tmp_path: Path, state: JobState, says: str
) -> None:
    async with world(tmp_path, caps=IN_LINE) as w:
        job = await w.job(await w.open())
        now = w.clock.now()
        attempt = Attempt(job.job_id, 1, "hiapi", "m", b"{}", f"{job.job_id}-1", "token", now, PRICE)
        await w.store.begin_attempt(attempt, next_at=now)
        if state is JobState.UNCONFIRMED:
            await w.store.leave_unconfirmed(job.job_id, now=now, next_at=now)
        else:
            billing = Billing(PRICE, BilledSource.PRICE)
            await w.store.accept(job.job_id, number=1, gateway_job_id="g", billing=billing, now=now, next_at=now)
        if state is JobState.STORED:
            await w.store.finish(job.job_id, address="https://v", until=None, billing=None, now=now)
            video = await w.library.keep_video(job.job_id)
            await w.store.store_video(job.job_id, video=video, settle_microusd=PRICE, now=now)

        assert await refused(release(w, job)) == (ChangeProblem.NOT_IN_LINE, says)
        assert (await w.store.job(job.job_id)).state is state
        assert await acts(w) == []


async def test_everything_charged_is_refunded_where_no_amount_is_named(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        job = await finished(w)

        done = await refund(w, job, reason="  bad\n video ")

        assert (done.amount_microusd, done.by_operator) == (PRICE, False)
        assert (done.job.charged_microusd, done.job.refunded_microusd) == (0, PRICE)
        entries = await w.store.entries_of(1)
        assert (entries[-1].amount_microusd, entries[-1].reason) == (PRICE, "bad video")
        assert await acts(w) == [(ActKind.REFUNDED, MANAGER, 1, job.job_id)]


@pytest.mark.parametrize(("actor_id", "counted"), [(MANAGER, PRICE), (OPERATOR, 0)], ids=["manager", "operator"])
async def test_only_an_operators_refund_lowers_the_operators_limits(
    tmp_path: Path, actor_id: int, counted: int
) -> None:
    async with world(tmp_path) as w:
        await with_rule(w)
        job = await finished(w)

        await refund(w, job, actor_id=actor_id)

        assert await committed(w, LimitKind.MEMBER) == 0
        assert (await committed(w, LimitKind.USER), await committed(w, LimitKind.GUILD)) == (counted, counted)


async def with_rule(w: World) -> None:
    rule = Rule(Scope.EVERYONE, day_microusd=PRICE, month_microusd=5_000_000)
    await w.store.set_rule(rule, act=Act(GUILD, MANAGER, w.clock.now()))


async def test_a_refund_after_midnight_lowers_the_windows_of_the_hold_and_mints_nothing_today(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await with_rule(w)
        job = await finished(w)
        await w.advance(DAY_S, step_s=DAY_S / 4)

        await refund(w, job)

        standings = {(each.kind, each.window): each for each in await w.standings()}
        assert standings[LimitKind.MEMBER, Window.DAY].committed == 0
        assert standings[LimitKind.MEMBER, Window.DAY].left == PRICE
        assert standings[LimitKind.MEMBER, Window.MONTH].committed == 0


async def test_a_part_can_be_refunded_and_then_no_more(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        job = await finished(w)

        done = await refund(w, job, "$0.045")

        assert (done.job.charged_microusd, done.job.refunded_microusd) == (600_000, 45_000)
        assert await refused(refund(w, job, "0.1")) == (ChangeProblem.REFUNDED_ALREADY, "$0.045")


async def test_of_two_refunds_at_once_exactly_one_is_made(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        job = await finished(w)

        done = await asyncio.gather(*(refund(w, job, "0.30") for _ in range(4)), return_exceptions=True)

        problems = [each.problem for each in done if isinstance(each, ChangeRejected)]
        assert problems == [ChangeProblem.REFUNDED_ALREADY] * 3
        assert (await w.store.job(job.job_id)).refunded_microusd == 300_000
        assert len(await acts(w)) == 1


@pytest.mark.parametrize("amount", ["0", "-1", "1,50", "NaN", "five"])
async def test_an_amount_that_is_none_refunds_nothing(tmp_path: Path, amount: str) -> None:
    async with world(tmp_path) as w:
        job = await finished(w)

        with pytest.raises(AmountRejected):
            await refund(w, job, amount)

        assert (await w.store.job(job.job_id)).refunded_microusd == 0


async def test_no_more_than_the_charge_is_refunded(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        job = await finished(w)

        assert await refused(refund(w, job, "0.645001")) == (ChangeProblem.MORE_THAN_CHARGED, "$0.645")
        assert (await w.store.job(job.job_id)).refunded_microusd == 0


@pytest.mark.parametrize("reason", ["", " \n", "\u200b", "x" * 201], ids=["none", "blank", "invisible", "too long"])
async def test_a_refund_needs_a_reason_that_can_be_read(tmp_path: Path, reason: str) -> None:
    async with world(tmp_path) as w:
        job = await finished(w)

        assert (await refused(refund(w, job, reason=reason)))[0] is ChangeProblem.BAD_VALUE


async def test_what_was_not_charged_is_not_refunded(tmp_path: Path) -> None:
    async with world(tmp_path, caps=IN_LINE) as w:
        in_line = await w.job(await w.open())
        ended = await w.job(await w.open())
        await w.service.cancel(ended.job_id, user_id=1)

        assert [await refused(refund(w, job)) for job in (in_line, ended)] == [(ChangeProblem.NOT_CHARGED, "")] * 2


async def test_a_deleted_video_is_posted_once_more(tmp_path: Path) -> None:
    async with world(tmp_path, messenger=Channel()) as w:
        job = await finished(w)
        first = w.messenger.videos.pop(job.job_id)

        await deliver(w, job)

        now = await w.store.job(job.job_id)
        assert w.messenger.told("post_video") == ["posting", "posting"]
        assert (now.delivery, now.video_message) == (Delivery.POSTED, w.messenger.videos[job.job_id])
        assert now.video_message != first
        assert w.messenger.said[-1] == ("edit_card", job.job_id, "delivered")
        assert await acts(w) == [(ActKind.DELIVERED_AGAIN, MANAGER, 1, job.job_id)]


async def test_a_video_whose_message_is_still_there_is_not_posted_twice(tmp_path: Path) -> None:
    async with world(tmp_path, messenger=Channel()) as w:
        job = await finished(w)

        await deliver(w, job)

        now = await w.store.job(job.job_id)
        assert w.messenger.told("post_video") == ["posting"]
        assert (now.delivery, now.video_message) == (Delivery.POSTED, job.video_message)


async def test_a_delivery_given_up_succeeds_when_the_channel_is_open_again(tmp_path: Path) -> None:
    async with world(tmp_path, messenger=Channel()) as w:
        w.messenger.closed = True
        job = await finished(w)
        assert job.delivery is Delivery.GIVEN_UP
        w.messenger.closed = False

        await deliver(w, job)

        assert (await w.store.job(job.job_id)).delivery is Delivery.POSTED
        assert w.messenger.told("post_video") == ["posting"]


async def test_asked_twice_at_once_the_video_is_posted_once_and_one_act_is_written(tmp_path: Path) -> None:
    async with world(tmp_path, messenger=Channel()) as w:
        job = await finished(w)
        del w.messenger.videos[job.job_id]

        again = await asyncio.gather(deliver(w, job), deliver(w, job))

        assert [each.delivery for each in again] == [Delivery.DUE] * 2
        assert len(w.messenger.told("post_video")) == 2
        assert len(await acts(w)) == 1


async def test_a_restart_between_the_act_and_the_message_makes_one_message(tmp_path: Path) -> None:
    async with world(tmp_path, messenger=Channel()) as w:
        job = await finished(w)
        del w.messenger.videos[job.job_id]
        assert await w.store.deliver_again(job.job_id, act=Act(GUILD, MANAGER, w.clock.now()))
    async with world(tmp_path, before=w) as after:
        await after.settle()

        assert after.messenger.told("post_video") == ["posting", "posting"]
        assert (await after.store.job(job.job_id)).delivery is Delivery.POSTED


class SlowCard(Channel):
    """Keeps the edit that shows a delivery waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def edit_card(self, view: CardView) -> None:
        if view.job.face is CardFace.DELIVERED and not self.go_on.is_set():
            self.reached.set()
            await self.go_on.wait()
        await super().edit_card(view)


async def test_a_video_asked_for_again_while_its_card_is_being_edited_is_posted_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, messenger=SlowCard()) as w:
        opened = await w.open()
        w.clock.turn(30)
        async with asyncio.timeout(5):
            await w.messenger.reached.wait()
        job = await w.job(opened)
        w.library.path(job.video.name).write_bytes(b"video")
        del w.messenger.videos[job.job_id]
        await w.guild_jobs.deliver_again(job.job_id, guild_id=GUILD, actor_id=MANAGER)
        w.messenger.go_on.set()
        await w.settle()

        now = await w.job(opened)
        assert now.delivery is Delivery.POSTED
        assert w.messenger.videos[job.job_id] == now.video_message
        assert now.card_face is CardFace.DELIVERED


async def test_a_video_that_is_not_kept_cannot_be_delivered_again(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        gone, never = await finished(w), await w.job(await w.open())
        w.library.path(gone.video.name).unlink()

        assert [await refused(deliver(w, job)) for job in (gone, never)] == [(ChangeProblem.NO_VIDEO, "")] * 2
        assert await acts(w) == []


async def test_a_job_whose_person_asked_for_its_deletion_is_not_posted_again(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        job = await finished(w)
        await w.privacy.delete(1)

        assert await refused(deliver(w, job)) == (ChangeProblem.NO_VIDEO, "")


async def test_a_job_of_another_guild_is_the_same_as_none(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        job = await finished(w)
        acts_on_it = {"guild_id": GUILD + 1, "actor_id": MANAGER}

        answers = [
            await refused(w.guild_jobs.release(job.job_id, **acts_on_it)),
            await refused(w.guild_jobs.refund(job.job_id, **acts_on_it, amount=None, reason="r")),
            await refused(w.guild_jobs.deliver_again(job.job_id, **acts_on_it)),
            await refused(w.guild_jobs.release("nothing", **acts_on_it)),
        ]

        assert answers == [(ChangeProblem.NO_JOB, "")] * 4
        assert await w.guild_jobs.jobs(GUILD + 1) == []
        assert (await w.store.job(job.job_id)).refunded_microusd == 0


async def test_managers_see_the_newest_jobs_of_their_guild_without_any_prompt(tmp_path: Path) -> None:
    async with world(tmp_path, caps=IN_LINE) as w:
        first = await w.job(await w.open(prompt="A secret boat"))
        w.clock.turn(1)
        second = await w.job(await w.open(user_id=2))
        await release(w, first)

        seen = await w.guild_jobs.jobs(GUILD)
        in_line = await w.guild_jobs.jobs(GUILD, states=frozenset({JobState.HELD}))
        of_first = await w.guild_jobs.jobs(GUILD, user_id=1)

        assert [job.job_id for job in seen] == [second.job_id, first.job_id]
        assert [job.job_id for job in in_line] == [second.job_id]
        assert [job.job_id for job in of_first] == [first.job_id]
        assert "secret" not in repr(seen)


def test_messages_of_a_private_job_are_no_managers_business() -> None:
    message = MessageRef(1, 2)
    job = replace(view(JobState.STORED).job, card=message, video_message=message)
    private = replace(job, request=replace(job.request, private=True))

    assert (GuildJob.of(job).card, GuildJob.of(job).video_message) == (message, message)
    assert (GuildJob.of(private).card, GuildJob.of(private).video_message) == (None, None)
