"""Before money is spent: a quote holds nothing, is good for five minutes, of use once, and offers what would pass."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain import kept_quotes
from bot.domain.errors import (
    Paused,
    PictureProblem,
    PictureRejected,
    QuotaExceeded,
    QuoteGone,
    QuotePressed,
    Refusal,
    StoreFailed,
    SubmissionRefused,
    TooManyFailures,
)
from bot.domain.guild import Act, GuildField, PersonSettings
from bot.domain.job import JobState
from bot.domain.kept_quotes import GOOD_FOR_S, KeptQuote, Over
from bot.domain.pricing import PriceRow
from bot.domain.quota import Caps, LimitKind, Limits, Measure, Standing
from bot.domain.quoting import after_hold
from bot.domain.request import Attachment, Image, Mode, PictureRules, Place, Resolution
from bot.domain.rules import Rule, Scope
from bot.domain.video_service import Opened
from bot.domain.windows import Window, day_ends_at
from tests.domain.world import PRICE, World, world
from tests.fakes import START, FakeGateway, capabilities

HERE = Place(channel_id=50, guild_id=7)
PICTURE = Attachment("https://cdn.example/a.png", "a.png", 1000)
DEARER = {Resolution.P720: PriceRow(second_microusd=200_000), Resolution.P1080: PriceRow(second_microusd=300_000)}
UNLIMITED = Limits(None, None, None, None)


def act() -> Act:
    return Act(guild_id=7, actor_id=900, at=START)


def two_gateways(**changes) -> dict:
    """HiAPI at $0.129 and $0.229 a second, ShortAPI dearer."""
    return {"other_gateway": FakeGateway(capabilities("shortapi", **{"prices": DEARER, **changes}))}


async def ask_above(w: World, amount_microusd: int = 0) -> None:
    await w.store.change_guild(GuildField.CONFIRM_ABOVE, amount_microusd, act=act())


async def quoted(w: World, **asked) -> KeptQuote:
    """Ask for a video of which the guild wants a confirmation."""
    await ask_above(w)
    made = await w.service.request(w.ask(**asked))
    assert isinstance(made, KeptQuote)
    return made


async def pressed(w: World, kept: KeptQuote, choice: int = 0, *, user_id: int = 1) -> Opened | KeptQuote:
    return await w.service.press(kept.quote_id, choice, user_id=user_id, place=HERE)


def offered(kept: KeptQuote | None) -> list[tuple[str, int, str, int]]:
    """Return resolution, length, gateway and price of every choice."""
    assert kept is not None
    requests = [choice.quote.request for choice in kept.choices]
    return [(r.resolution.value, r.duration_s, r.gateway, r.price_microusd) for r in requests]


async def on_hold(w: World) -> int:
    return next(standing.on_hold for standing in await w.standings() if standing.kind is LimitKind.USER)


@pytest.mark.parametrize(
    ("guild_microusd", "own_microusd", "asks"),
    [
        (None, None, None),
        (PRICE, PRICE, None),
        (PRICE - 1, None, (PRICE - 1, False)),
        (None, PRICE - 1, (PRICE - 1, True)),
        (100_000, 200_000, (100_000, False)),
        (200_000, 100_000, (100_000, True)),
        (0, 50_000_000, (0, False)),
    ],
)
async def test_a_price_above_either_threshold_is_asked_first(tmp_path, guild_microusd, own_microusd, asks):
    async with world(tmp_path) as w:
        await w.store.change_guild(GuildField.CONFIRM_ABOVE, guild_microusd, act=act())
        await w.store.change_person(PersonSettings(1, confirm_above_microusd=own_microusd))

        made = await w.service.request(w.ask())

        if asks is None:
            assert isinstance(made, Opened)
        else:
            assert isinstance(made, KeptQuote)
            assert made.threshold is not None
            assert (made.threshold.above_microusd, made.threshold.own) == asks


async def test_a_free_preview_is_never_asked_first_and_a_guild_decides_for_itself_alone(tmp_path):
    async with world(tmp_path) as w:
        await ask_above(w)

        assert isinstance(await w.service.request(w.ask(gateway="animatic")), Opened)
        assert isinstance(await w.service.request(w.ask(place=Place(60, guild_id=8))), Opened)
        assert isinstance(await w.service.request(w.ask(place=Place(60))), Opened)


async def test_a_waiting_quote_holds_nothing_and_a_press_holds_exactly_its_price(tmp_path):
    async with world(tmp_path) as w:
        kept = await quoted(w, interaction_id=77)
        assert await on_hold(w) == 0
        assert await w.store.jobs_of(1, limit=5) == []

        opened = await pressed(w, kept)

        assert isinstance(opened, Opened)
        assert opened.view.job.request.price_microusd == kept.choices[0].price_microusd == PRICE
        assert await on_hold(w) == PRICE
        assert await w.store.opened_by(77) is not None


async def test_pictures_are_taken_in_before_the_quote_is_shown_and_used_by_the_press(tmp_path):
    async with world(tmp_path) as w:
        kept = await quoted(w, mode=Mode.IMAGE, attachments=(PICTURE,))
        assert w.pictures.kept == {kept.images[0].name}
        waiting = asyncio.create_task(w.service.quote_over(kept))

        opened = await pressed(w, kept)

        assert isinstance(opened, Opened)
        assert opened.view.job.images == kept.images
        assert await waiting is Over.PRESSED
        assert w.pictures.kept == {kept.images[0].name}


async def test_a_quote_expires_after_five_minutes_and_its_pictures_are_gone(tmp_path):
    async with world(tmp_path) as w:
        kept = await quoted(w, mode=Mode.IMAGE, attachments=(PICTURE,))
        waiting = asyncio.create_task(w.service.quote_over(kept))
        assert kept.expires_at == w.clock.now() + timedelta(seconds=GOOD_FOR_S)
        await w.advance(GOOD_FOR_S - 1)
        assert not waiting.done()
        await w.advance(1)

        assert await waiting is Over.EXPIRED
        assert w.pictures.kept == set()
        with pytest.raises(QuoteGone):
            await pressed(w, kept)
        assert await on_hold(w) == 0


async def test_past_its_time_a_quote_is_void_though_nobody_noticed_yet(tmp_path):
    async with world(tmp_path) as w:
        kept = await quoted(w)
        await w.advance(GOOD_FOR_S)

        with pytest.raises(QuoteGone):
            await pressed(w, kept)


async def test_pressed_twice_at_once_it_opens_one_job(tmp_path):
    async with world(tmp_path) as w:
        kept = await quoted(w, resolution=Resolution.P1080)

        outcomes = await asyncio.gather(*(pressed(w, kept, n % 2) for n in range(6)), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes].count(Opened) == 1
        assert [type(outcome) for outcome in outcomes].count(QuotePressed) == 5
        assert len(await w.store.jobs_of(1, limit=5)) == 1
        with pytest.raises(QuotePressed):
            await pressed(w, kept)


async def test_a_press_by_somebody_else_is_void_and_takes_nothing_from_its_person(tmp_path):
    async with world(tmp_path) as w:
        kept = await quoted(w)

        with pytest.raises(QuoteGone):
            await pressed(w, kept, user_id=2)
        with pytest.raises(QuoteGone):
            await w.service.dismiss(kept.quote_id, user_id=2)

        assert isinstance(await pressed(w, kept), Opened)


async def test_a_restart_forgets_quotes_and_knows_which_was_pressed_before_a_crash(tmp_path):
    async with world(tmp_path) as first:
        unused, used = await quoted(first), await quoted(first)
        await pressed(first, used)
    async with world(tmp_path, before=first) as second:
        with pytest.raises(QuoteGone):
            await pressed(second, unused)
        for again in (pressed(second, used), second.service.dismiss(used.quote_id, user_id=1)):
            with pytest.raises(QuotePressed):
                await again
        with pytest.raises(QuoteGone):
            await pressed(second, used, user_id=2)
        assert len(await second.store.jobs_of(1, limit=5)) == 1


async def test_a_command_delivered_twice_opens_one_job_whichever_of_its_quotes_is_pressed(tmp_path):
    async with world(tmp_path) as w:
        await ask_above(w)
        ask = w.ask(mode=Mode.IMAGE, attachments=(PICTURE,))
        quotes = [await w.service.request(ask) for _ in range(2)]

        opened = [await pressed(w, kept) for kept in quotes if isinstance(kept, KeptQuote)]

        assert len({each.view.job.job_id for each in opened if isinstance(each, Opened)}) == 1
        assert await on_hold(w) == PRICE
        [job] = await w.store.jobs_of(1, limit=5)
        assert w.pictures.kept == {image.name for image in job.images}


@pytest.mark.parametrize(("now_microusd", "price"), [(150_000, 750_000), (100_000, 500_000)])
async def test_a_changed_price_voids_the_quote_and_is_quoted_anew(tmp_path, now_microusd, price):
    async with world(tmp_path) as w:
        kept = await quoted(w, mode=Mode.IMAGE, attachments=(PICTURE,))
        prices = {Resolution.P720: PriceRow(second_microusd=now_microusd)}
        w.gateway.capabilities = replace(w.gateway.capabilities, prices=prices)

        again = await pressed(w, kept)

        assert isinstance(again, KeptQuote)
        assert (again.was_microusd, again.choices[0].price_microusd) == (PRICE, price)
        assert await on_hold(w) == 0
        with pytest.raises(QuoteGone):
            await pressed(w, kept)
        assert await w.service.quote_over(kept) is Over.PRESSED
        opened = await pressed(w, again)
        assert isinstance(opened, Opened)
        assert opened.view.job.request.price_microusd == price


async def test_a_guild_that_is_served_no_more_is_quoted_the_preview_anew(tmp_path):
    async with world(tmp_path) as w:
        kept = await quoted(w)
        w.gateway.capabilities = replace(w.gateway.capabilities, configured=False)

        again = await pressed(w, kept)

        assert isinstance(again, KeptQuote)
        assert offered(again) == [("720p", 5, "animatic", 0)]
        assert isinstance(await pressed(w, again), Opened)


async def test_a_press_that_is_refused_may_be_repeated_while_its_time_lasts(tmp_path):
    async with world(tmp_path) as w:
        kept = await quoted(w)
        waiting = asyncio.create_task(w.service.quote_over(kept))
        await w.store.change_guild(GuildField.PAUSED, True, act=act())
        with pytest.raises(Paused):
            await pressed(w, kept)
        await w.store.change_guild(GuildField.PAUSED, False, act=act())

        assert isinstance(await pressed(w, kept), Opened)
        assert await waiting is Over.PRESSED


async def test_a_quote_whose_time_ends_during_a_press_ends_with_the_press(tmp_path, monkeypatch):
    async with world(tmp_path) as w:
        kept = await quoted(w, mode=Mode.IMAGE, attachments=(PICTURE,))
        waiting = asyncio.create_task(w.service.quote_over(kept))
        going_on, at_the_store = asyncio.Event(), asyncio.Event()

        async def slow(_opening):
            at_the_store.set()
            await going_on.wait()
            raise StoreFailed

        monkeypatch.setattr(w.store, "open_job", slow)
        press = asyncio.create_task(pressed(w, kept))
        await asyncio.wait_for(at_the_store.wait(), 5)
        await w.advance(GOOD_FOR_S)
        assert not waiting.done()
        assert w.pictures.kept
        going_on.set()

        with pytest.raises(StoreFailed):
            await press
        assert await asyncio.wait_for(waiting, 5) is Over.EXPIRED
        assert not w.pictures.kept


async def test_only_the_three_newest_quotes_of_a_person_wait(tmp_path):
    async with world(tmp_path) as w:
        oldest = await quoted(w)
        waiting = asyncio.create_task(w.service.quote_over(oldest))
        others = await quoted(w, user_id=2)
        newer = [await quoted(w) for _ in range(3)]

        assert await asyncio.wait_for(waiting, 5) is Over.EXPIRED
        with pytest.raises(QuoteGone):
            await pressed(w, oldest)
        for kept in newer:
            assert isinstance(await pressed(w, kept), Opened)
        assert isinstance(await pressed(w, others, user_id=2), Opened)


async def test_a_quote_that_is_being_pressed_gives_way_to_no_newer_one(tmp_path, monkeypatch):
    async with world(tmp_path) as w:
        kept = await quoted(w, mode=Mode.IMAGE, attachments=(PICTURE,))
        waiting = asyncio.create_task(w.service.quote_over(kept))
        open_job, going_on = w.store.open_job, asyncio.Event()

        async def slow(opening):
            await going_on.wait()
            return await open_job(opening)

        monkeypatch.setattr(w.store, "open_job", slow)
        press = asyncio.create_task(pressed(w, kept))
        for _ in range(4):
            await quoted(w)
        going_on.set()

        assert isinstance(await press, Opened)
        assert await waiting is Over.PRESSED
        assert w.pictures.kept == {image.name for image in kept.images}


async def test_of_all_quotes_only_so_many_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_quotes, "_MAX", 2)
    async with world(tmp_path) as w:
        oldest, *newer = [await quoted(w, user_id=user_id) for user_id in (1, 2, 3)]

        with pytest.raises(QuoteGone):
            await pressed(w, oldest)
        for kept in newer:
            assert isinstance(await pressed(w, kept, user_id=kept.user_id), Opened)


async def test_another_gateway_at_the_same_price_gets_the_pictures_its_rules_ask_for(tmp_path):
    strict = PictureRules(count_min=1, count_max=1, short_side_min_px=700, bytes_max=10_000_000)
    modes = {mode: replace(each, pictures=strict) for mode, each in capabilities().modes.items() if each.pictures}
    async with world(tmp_path, **two_gateways(modes=modes, prices=capabilities().prices)) as w:
        kept = await quoted(w, mode=Mode.IMAGE, attachments=(PICTURE,))
        w.breakers.refused("hiapi", Refusal.CREDIT)
        waiting = asyncio.create_task(w.service.quote_over(kept))

        opened = await pressed(w, kept)

        assert isinstance(opened, Opened)
        job = opened.view.job
        assert (job.request.gateway, job.request.price_microusd) == ("shortapi", PRICE)
        assert job.images != kept.images
        assert await waiting is Over.PRESSED
        assert w.pictures.kept == {image.name for image in job.images}


async def test_a_dismissed_quote_is_gone_with_its_pictures(tmp_path):
    async with world(tmp_path) as w:
        kept = await quoted(w, mode=Mode.IMAGE, attachments=(PICTURE,))
        waiting = asyncio.create_task(w.service.quote_over(kept))
        await w.service.dismiss(kept.quote_id, user_id=1)

        assert await waiting is Over.DISMISSED
        assert w.pictures.kept == set()
        with pytest.raises(QuoteGone):
            await pressed(w, kept)


async def test_a_stop_ends_waiting_quotes_and_leaves_no_pictures(tmp_path):
    async with world(tmp_path) as w:
        kept = await quoted(w, mode=Mode.IMAGE, attachments=(PICTURE,))
        waiting = asyncio.create_task(w.service.quote_over(kept))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        assert w.pictures.kept == set()
        with pytest.raises(QuoteGone):
            await pressed(w, kept)


async def test_at_the_press_every_limit_is_checked_again(tmp_path):
    async with world(tmp_path, limits=replace(UNLIMITED, user_day_microusd=1_000_000)) as w:
        first, second = await quoted(w), await quoted(w)
        await pressed(w, first)

        with pytest.raises(QuotaExceeded):
            await pressed(w, second)
        assert await on_hold(w) == PRICE


async def test_nobody_is_asked_for_what_a_day_of_failures_would_refuse(tmp_path):
    async with world(tmp_path) as w:
        for _ in range(5):
            w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", reason=Refusal.CONTENT))
            await w.open()
        await ask_above(w)

        with pytest.raises(TooManyFailures):
            await w.service.request(w.ask(mode=Mode.IMAGE, attachments=(PICTURE,)))
        assert w.pictures.kept == set()


class TestCheaperChoices:
    """What else a quote offers, each at its exact price, and only what would pass now."""

    async def test_they_are_720p_five_seconds_and_a_free_draft(self, tmp_path):
        async with world(tmp_path) as w:
            assert offered(await quoted(w, resolution=Resolution.P1080, duration_s=10)) == [
                ("1080p", 10, "hiapi", 2_290_000),
                ("720p", 10, "hiapi", 1_290_000),
                ("1080p", 5, "hiapi", 1_145_000),
                ("1080p", 10, "animatic", 0),
            ]

    async def test_a_named_dearer_gateway_has_a_cheaper_one_beside_it(self, tmp_path):
        async with world(tmp_path, **two_gateways()) as w:
            named = await quoted(w, gateway="shortapi")
            assert offered(named)[1:] == [("720p", 5, "hiapi", 645_000), ("720p", 5, "animatic", 0)]
            assert offered(await quoted(w, gateway="hiapi"))[1:] == [("720p", 5, "animatic", 0)]

            opened = await pressed(w, named, 1)

            assert isinstance(opened, Opened)
            assert (opened.view.job.request.gateway, opened.view.job.request.price_microusd) == ("hiapi", PRICE)

    async def test_another_gateway_must_do_the_very_same(self, tmp_path):
        modes = capabilities().modes
        able = {**modes, Mode.REFERENCE: replace(modes[Mode.REFERENCE], seed=True, negative_prompt=True)}
        async with world(tmp_path, **two_gateways(modes=able)) as w:
            asked = {"mode": Mode.REFERENCE, "attachments": (PICTURE,), "gateway": "shortapi"}

            assert "hiapi" in {gateway for _, _, gateway, _ in offered(await quoted(w, **asked))}
            kept = await quoted(w, **asked, seed=3, negative_prompt="rain")

            assert offered(kept)[1:] == [("720p", 5, "animatic", 0)]
            draft = kept.choices[1].quote.request
            assert (draft.seed, draft.negative_prompt) == (None, None)

    async def test_another_gateway_must_take_the_very_same_pictures(self, tmp_path):
        strict = PictureRules(count_min=1, count_max=9, short_side_min_px=700, bytes_max=10_000_000)
        modes = {mode: replace(each, pictures=strict) for mode, each in capabilities().modes.items() if each.pictures}
        async with world(tmp_path, **two_gateways()) as w:
            w.gateway.capabilities = replace(w.gateway.capabilities, modes=modes)
            kept = await quoted(w, mode=Mode.IMAGE, attachments=(PICTURE,), gateway="shortapi")

            assert offered(kept)[1:] == [("720p", 5, "animatic", 0)]

    async def test_what_a_rule_forbids_is_not_offered(self, tmp_path):
        async with world(tmp_path, **two_gateways()) as w:
            rule = Rule(Scope.EVERYONE, resolutions=frozenset({"1080p"}), gateways=frozenset({"shortapi"}))
            await w.store.set_rule(rule, act=act())
            kept = await quoted(w, resolution=Resolution.P1080, duration_s=10, gateway="shortapi")

            assert offered(kept)[1:] == [("1080p", 5, "shortapi", 1_500_000), ("1080p", 10, "animatic", 0)]

    async def test_what_has_no_price_or_takes_no_jobs_is_not_offered(self, tmp_path):
        async with world(tmp_path, **two_gateways()) as w:
            w.other_gateway.capabilities = replace(
                w.other_gateway.capabilities, prices={Resolution.P1080: DEARER[Resolution.P1080]}
            )
            w.breakers.refused("hiapi", Refusal.CREDIT)
            kept = await quoted(w, resolution=Resolution.P1080, gateway="shortapi")

            assert offered(kept)[1:] == [("1080p", 5, "animatic", 0)]

    async def test_without_previews_left_no_draft_is_offered(self, tmp_path):
        async with world(tmp_path) as w:
            for _ in range(10):
                await w.open(gateway="animatic")

            assert offered(await quoted(w)) == [("720p", 5, "hiapi", PRICE)]

    async def test_the_usual_time_is_that_of_its_kind_and_unknown_without_history(self, tmp_path):
        async with world(tmp_path) as w:
            assert (await quoted(w)).usual_s is None
            for user_id in range(10, 15):
                await w.open(user_id=user_id)
                await w.advance(20)

            assert (await quoted(w)).usual_s == 20


class TestInstead:
    """What a refusal by a limit offers: the nearest way that would pass now."""

    @pytest.mark.parametrize(
        ("limit_microusd", "asked", "instead"),
        [
            (1_400_000, {"resolution": Resolution.P1080, "duration_s": 10}, ("720p", 10, "hiapi", 1_290_000)),
            (1_289_999, {"resolution": Resolution.P1080, "duration_s": 10}, ("720p", 9, "hiapi", 1_161_000)),
            (1_150_000, {"resolution": Resolution.P1080, "duration_s": 10}, ("1080p", 5, "hiapi", 1_145_000)),
            (600_000, {}, ("720p", 4, "hiapi", 516_000)),
            (600_000, {"gateway": "shortapi"}, ("720p", 3, "shortapi", 600_000)),
            (700_000, {"gateway": "shortapi"}, ("720p", 5, "hiapi", 645_000)),
            (387_000, {"duration_s": 15}, ("720p", 3, "hiapi", 387_000)),
            (386_999, {}, ("720p", 5, "animatic", 0)),
            (0, {}, ("720p", 5, "animatic", 0)),
        ],
    )
    async def test_it_is_the_dearest_of_full_length_else_the_dearest(self, tmp_path, limit_microusd, asked, instead):
        limits = replace(UNLIMITED, user_day_microusd=limit_microusd)
        async with world(tmp_path, limits=limits, **two_gateways()) as w:
            ask = w.ask(**asked)
            with pytest.raises(QuotaExceeded):
                await w.service.request(ask)

            kept = await w.service.request_instead(ask)

            assert offered(kept) == [instead]
            assert kept is not None
            opened = await pressed(w, kept)
            assert isinstance(opened, Opened)
            assert opened.view.job.request.price_microusd == instead[3]

    async def test_where_the_number_of_videos_is_used_up_only_the_draft_passes(self, tmp_path):
        async with world(tmp_path) as w:
            await w.store.set_rule(Rule(Scope.EVERYONE, day_videos=1), act=act())
            await w.open()

            assert offered(await w.service.request_instead(w.ask())) == [("720p", 5, "animatic", 0)]

    async def test_it_keeps_the_rules_and_the_pictures(self, tmp_path):
        async with world(tmp_path, limits=replace(UNLIMITED, user_day_microusd=1_400_000)) as w:
            await w.store.set_rule(Rule(Scope.POOL, resolutions=frozenset({"1080p"})), act=act())
            ask = w.ask(mode=Mode.IMAGE, attachments=(PICTURE,), resolution=Resolution.P1080, duration_s=10)

            kept = await w.service.request_instead(ask)

            assert offered(kept) == [("1080p", 6, "hiapi", 1_374_000)]
            assert kept is not None
            assert w.pictures.kept == {image.name for image in kept.images}

    async def test_after_a_day_of_failures_only_the_draft_is_left_and_without_previews_nothing(self, tmp_path):
        async with world(tmp_path, limits=replace(UNLIMITED, user_day_microusd=1_000_000)) as w:
            for _ in range(5):
                w.gateway.submit_script.append(SubmissionRefused("hiapi", "no", reason=Refusal.CONTENT))
                await w.open()
            ask = w.ask(duration_s=15)
            assert offered(await w.service.request_instead(ask)) == [("720p", 15, "animatic", 0)]
            for _ in range(10):
                await w.open(gateway="animatic")

            assert await w.service.request_instead(ask) is None

    async def test_pictures_that_cannot_be_used_leave_the_refusal_alone(self, tmp_path, monkeypatch):
        async with world(tmp_path, limits=replace(UNLIMITED, user_day_microusd=600_000)) as w:

            async def refuse(*_, mode, **__) -> tuple[Image, ...]:
                raise PictureRejected(1, PictureProblem.EMPTY, mode)

            monkeypatch.setattr(w.pictures, "take", refuse)

            assert await w.service.request_instead(w.ask(mode=Mode.IMAGE, attachments=(PICTURE,))) is None


async def test_what_a_hold_crosses_is_told_with_the_accepted_job_and_once(tmp_path):
    async with world(tmp_path, limits=replace(UNLIMITED, user_day_microusd=2_000_000)) as w:
        told = [[percent for _, percent in (await w.open()).crossings] for _ in range(3)]

        assert told == [[], [50], [90]]


async def test_crossings_that_cannot_be_noted_leave_the_job_open(tmp_path, monkeypatch):
    async with world(tmp_path, limits=replace(UNLIMITED, user_day_microusd=700_000)) as w:

        async def fail(*_, **__):
            raise StoreFailed

        monkeypatch.setattr(w.store, "note_crossings", fail)
        opened = await w.open()

        assert opened.crossings == ()
        assert (await w.job(opened)).state is not JobState.FAILED
        assert opened.standings[0].on_hold == PRICE


async def test_what_breaks_after_the_hold_neither_frees_the_quote_nor_takes_the_jobs_pictures(tmp_path, monkeypatch):
    async with world(tmp_path, caps=Caps(per_user=0, per_guild=0, per_gateway=0)) as w:
        kept = await quoted(w, mode=Mode.IMAGE, attachments=(PICTURE,))

        async def broken(_job):
            raise RuntimeError("unforeseen")

        monkeypatch.setattr(w.service._views, "view", broken)
        opened = await pressed(w, kept)
        with pytest.raises(QuotePressed):
            await pressed(w, kept)

        assert opened.view.job.images == kept.images
        assert {image.name for image in kept.images} == w.pictures.kept


@pytest.mark.parametrize(
    ("changes", "left", "grants_left"),
    [
        ({}, 355_000, 0),
        ({"limit": 600_000, "grants_left_microusd": 100_000}, 0, 55_000),
        ({"measure": Measure.VIDEOS, "limit": 3}, 2, 0),
        ({"measure": Measure.VIDEOS, "limit": 0, "grants_left_microusd": 700_000}, 0, 55_000),
    ],
)
def test_what_a_quote_leaves_counts_grants_after_the_limit(changes, left, grants_left):
    facts = {"kind": LimitKind.MEMBER, "window": Window.DAY, "limit": 1_000_000, "committed": 0}
    standing = Standing(**{**facts, "window_ends_at": day_ends_at(START), **changes})

    after = after_hold(standing, PRICE)

    assert (after.left, after.grants_left_microusd) == (left, grants_left)
