"""What a guild decided counts for the very next command: each rule refuses, and defaults fill in what nobody gave."""

import asyncio
import logging
import threading
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.adapters.patterns import LinearPatterns
from bot.domain.errors import (
    Blocked,
    ChannelRejected,
    GatewayRejected,
    OptionRejected,
    Paused,
    RequestRejected,
    RoleRejected,
    SubmissionUnconfirmed,
    Unavailable,
    WordRejected,
)
from bot.domain.guild import Act, GuildField
from bot.domain.job import Ending, JobState
from bot.domain.ports import Progress, Reading
from bot.domain.pricing import Idempotency, PriceRow
from bot.domain.quota import Caps
from bot.domain.quoting import PREVIEW_WHY_RULE
from bot.domain.request import Attachment, Mode, Place, Resolution
from bot.domain.rules import Rule, Scope
from tests.domain.world import PRICE, World, world
from tests.fakes import START, FakeGateway, capabilities

ACT = Act(guild_id=7, actor_id=900, at=START)
PICTURE = Attachment("https://cdn.example/a.png", "a.png", 1000)


def dearer(**changes) -> FakeGateway:
    prices = {resolution: PriceRow(second_microusd=300_000) for resolution in Resolution}
    return FakeGateway(capabilities("shortapi", **{"prices": prices, **changes}))


async def set_rule(w: World, scope: Scope = Scope.EVERYONE, subject_id: int = 0, **fields) -> None:
    await w.store.set_rule(Rule(scope, subject_id, **fields), act=ACT)


async def change(w: World, **settings) -> None:
    for name, value in settings.items():
        await w.store.change_guild(GuildField[name], value, act=ACT)


async def refused(w: World, **asked) -> RequestRejected:
    """Ask, be refused, and see that nothing was taken in or opened; the preview is refused for the same reason."""
    with pytest.raises(RequestRejected) as caught:
        await w.service.request(w.ask(**asked))
    assert await w.store.jobs_of(1, limit=1) == []
    assert w.pictures.kept == set()
    if not isinstance(caught.value, GatewayRejected):
        with pytest.raises(type(caught.value)):
            await w.service.open(w.ask(**{**asked, "gateway": "animatic"}))
    return caught.value


async def wanted(w: World, **asked) -> tuple[str, int, str | None, str]:
    request = (await w.service.quote(w.ask(**asked))).request
    return request.resolution.value, request.duration_s, request.ratio, request.gateway


async def test_other_channels_than_the_allowed_ones_are_refused_and_threads_count_as_their_channel(tmp_path):
    async with world(tmp_path) as w:
        await change(w, CHANNELS=frozenset({50, 40}))

        problem = await refused(w, place=Place(60, guild_id=7))

        assert isinstance(problem, ChannelRejected)
        assert problem.allowed == (40, 50)
        assert await wanted(w, place=Place(61, guild_id=7, parent_id=50))
        await refused(w, place=Place(50, guild_id=7, parent_id=60))
        assert await wanted(w, place=Place(60, guild_id=8))
        assert await wanted(w, place=Place(60))


async def test_members_without_an_allowed_role_are_refused(tmp_path):
    async with world(tmp_path) as w:
        await change(w, ROLES=frozenset({31, 30}))

        problem = await refused(w, place=Place(50, guild_id=7, role_ids=frozenset({7, 29})))

        assert isinstance(problem, RoleRejected)
        assert problem.allowed == (30, 31)
        assert await wanted(w, place=Place(50, guild_id=7, role_ids=frozenset({7, 31})))


async def test_a_guilds_pause_refuses_there_alone(tmp_path):
    async with world(tmp_path) as w:
        await change(w, PAUSED=True)

        problem = await refused(w)

        assert isinstance(problem, Paused)
        assert problem.by_guild
        assert await wanted(w, place=Place(60, guild_id=8))


@pytest.mark.parametrize("lasts", [None, timedelta(hours=1)])
async def test_a_blocked_person_is_refused_until_the_block_ends(tmp_path, lasts):
    async with world(tmp_path) as w:
        until = lasts and START + lasts
        await w.store.block(user_id=1, until=until, reason="spam", act=ACT)

        problem = await refused(w)

        assert isinstance(problem, Blocked)
        assert problem.until == until
        assert await wanted(w, user_id=2)
        assert await wanted(w, place=Place(60, guild_id=8))
        await w.advance(3_600)
        if lasts:
            assert await wanted(w)
        else:
            assert isinstance(await refused(w), Blocked)


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt": "a Secret horse"},
        {"mode": Mode.REFERENCE, "attachments": (PICTURE,), "negative_prompt": "no secret", "gateway": "shortapi"},
    ],
)
async def test_a_blocked_word_is_refused_in_both_prompts_and_named_nowhere(tmp_path, caplog, asked):
    caplog.set_level(logging.INFO)
    modes = capabilities().modes
    able = {**modes, Mode.REFERENCE: replace(modes[Mode.REFERENCE], negative_prompt=True)}
    async with world(tmp_path, other_gateway=dearer(modes=able)) as w:
        await w.store.add_word("secret", is_pattern=False, act=ACT)

        problem = await refused(w, **asked)

        assert isinstance(problem, WordRejected)
        assert "prompt refused by blocklist guild_id=7 user_id=1" in caplog.messages
        assert not any("secret" in message for message in caplog.messages)
        assert await wanted(w, prompt="a secretary")


@pytest.mark.parametrize(
    ("rule", "asked", "option", "value", "allowed"),
    [
        ({"resolutions": frozenset({"720p"})}, {"resolution": Resolution.P1080}, "resolution", "1080p", ("720p",)),
        ({"duration_max_s": 6}, {"duration_s": 7}, "duration", "7", ("3", "4", "5", "6")),
        ({"duration_max_s": 4}, {}, "duration", "5", ("3", "4")),
        ({"ratios": frozenset({"1:1", "9:16"})}, {"ratio": "4:3"}, "ratio", "4:3", ("9:16", "1:1")),
        ({"ratios": frozenset({"1:1"})}, {}, "ratio", "16:9", ("1:1",)),
    ],
)
async def test_an_option_outside_the_rules_is_refused_with_what_they_allow(
    tmp_path, rule, asked, option, value, allowed
):
    async with world(tmp_path) as w:
        await set_rule(w, **rule)

        problem = await refused(w, **asked)

        assert isinstance(problem, OptionRejected)
        assert (problem.option, problem.value, problem.allowed) == (option, value, allowed)
        assert problem.by_rule
        assert await wanted(w, place=Place(60, guild_id=8), **asked)


async def test_contradictory_sets_allow_nothing_and_the_refusal_knows(tmp_path):
    async with world(tmp_path) as w:
        await set_rule(w, resolutions=frozenset({"720p"}))
        await set_rule(w, Scope.POOL, resolutions=frozenset({"1080p"}))

        problem = await refused(w)

        assert isinstance(problem, OptionRejected)
        assert problem.allowed == ()


async def test_in_image_mode_only_a_given_ratio_is_held_against_the_rules(tmp_path):
    async with world(tmp_path) as w:
        await set_rule(w, ratios=frozenset({"1:1"}))
        asked = {"mode": Mode.IMAGE, "attachments": (PICTURE,)}

        assert await wanted(w, **asked) == ("720p", 5, None, "hiapi")
        assert isinstance(await refused(w, **asked, ratio="16:9"), OptionRejected)


async def test_a_gateway_outside_the_rules_is_left_out_and_refused_by_name(tmp_path):
    async with world(tmp_path, other_gateway=dearer()) as w:
        await set_rule(w, gateways=frozenset({"shortapi"}))

        assert await wanted(w) == ("720p", 5, "16:9", "shortapi")
        problem = await refused(w, gateway="hiapi")
        assert isinstance(problem, GatewayRejected)
        assert problem.why is Unavailable.RULE
        assert await wanted(w, gateway="animatic") == ("720p", 5, "16:9", "animatic")
        made, taken = await w.service.offers_and_auto(w.ask())
        why = {offer.capabilities.gateway: offer.problem for offer in made}
        assert why["shortapi"] is why["animatic"] is None
        assert isinstance(why["hiapi"], GatewayRejected)
        assert taken is not None
        assert taken.capabilities.gateway == "shortapi"


async def test_where_rules_leave_no_paid_gateway_a_preview_is_made_and_says_why(tmp_path):
    async with world(tmp_path) as w:
        await set_rule(w, gateways=frozenset({"animatic"}))

        opened = await w.open()

        assert opened.view.job.request.gateway == "animatic"
        assert opened.view.remark == PREVIEW_WHY_RULE


async def test_a_rule_of_ones_role_counts_by_the_roles_one_has_now(tmp_path):
    async with world(tmp_path) as w:
        await set_rule(w, duration_max_s=5)
        await set_rule(w, Scope.ROLE, 30, duration_max_s=10)
        place = Place(50, guild_id=7, role_ids=frozenset({30}))

        assert await wanted(w, place=place, duration_s=10)
        assert isinstance(await refused(w, duration_s=10), OptionRejected)


async def test_what_nobody_gave_is_what_the_guild_set(tmp_path):
    async with world(tmp_path, other_gateway=dearer()) as w:
        await change(w, RESOLUTION="1080p", DURATION=8, RATIO="9:16", GATEWAY="shortapi")

        assert await wanted(w) == ("1080p", 8, "9:16", "shortapi")
        given = {"resolution": Resolution.P720, "duration_s": 3, "ratio": "1:1", "gateway": "auto"}
        assert await wanted(w, **given) == ("720p", 3, "1:1", "hiapi")
        assert await wanted(w, place=Place(60, guild_id=8)) == ("720p", 5, "16:9", "hiapi")
        assert await wanted(w, place=Place(60)) == ("720p", 5, "16:9", "hiapi")
        picture = {"mode": Mode.IMAGE, "attachments": (PICTURE,)}
        assert await wanted(w, **picture) == ("1080p", 8, None, "shortapi")
        made, _ = await w.service.offers_and_auto(w.ask())
        assert {offer.price_microusd for offer in made} == {8 * 229_000, 8 * 300_000, 0}


async def test_a_picture_is_not_shaped_by_the_guilds_default_ratio(tmp_path):
    async with world(tmp_path) as w:
        await change(w, RATIO="9:16")
        await w.open(mode=Mode.IMAGE, attachments=(PICTURE,))
        await w.open(mode=Mode.IMAGE, attachments=(PICTURE,), ratio="1:1")

        assert w.pictures.ratios == [None, "1:1"]


@pytest.mark.parametrize(
    ("defaults", "rule", "counts"),
    [
        ({"RESOLUTION": "1080p"}, {"resolutions": frozenset({"720p"})}, ("720p", 5, "16:9", "hiapi")),
        ({"DURATION": 15}, {"duration_max_s": 10}, ("720p", 5, "16:9", "hiapi")),
        ({"RATIO": "21:9"}, {"ratios": frozenset({"16:9"})}, ("720p", 5, "16:9", "hiapi")),
        ({"GATEWAY": "shortapi"}, {"gateways": frozenset({"hiapi"})}, ("720p", 5, "16:9", "hiapi")),
        ({"GATEWAY": "pixeldojo"}, {}, ("720p", 5, "16:9", "hiapi")),
        ({"RESOLUTION": "1080p", "GATEWAY": "hiapi"}, {}, ("1080p", 5, "16:9", "shortapi")),
        ({"RATIO": "21:9"}, {"gateways": frozenset({"shortapi"})}, ("720p", 5, "16:9", "shortapi")),
    ],
)
async def test_a_default_that_rules_or_gateways_forbid_gives_way(tmp_path, defaults, rule, counts):
    modes = {mode: replace(each, ratios=each.ratios and ("16:9",)) for mode, each in capabilities().modes.items()}
    async with world(tmp_path, other_gateway=dearer(modes=modes)) as w:
        w.gateway.capabilities = replace(
            w.gateway.capabilities, prices={Resolution.P720: PriceRow(second_microusd=129_000)}
        )
        await change(w, **defaults)
        if rule:
            await set_rule(w, **rule)

        assert await wanted(w) == counts


async def test_a_default_resolution_without_a_price_at_the_named_gateway_gives_way(tmp_path):
    async with world(tmp_path) as w:
        prices = {Resolution.P720: PriceRow(second_microusd=129_000)}
        w.gateway.capabilities = replace(w.gateway.capabilities, prices=prices)
        await change(w, RESOLUTION="1080p")

        assert await wanted(w, gateway="hiapi") == ("720p", 5, "16:9", "hiapi")
        await set_rule(w, resolutions=frozenset({"1080p"}))
        with pytest.raises(GatewayRejected) as caught:
            await w.service.quote(w.ask(gateway="hiapi"))
        assert caught.value.why is Unavailable.NO_PRICE


async def test_a_given_option_never_gives_way(tmp_path):
    async with world(tmp_path, other_gateway=dearer(configured=False)) as w:
        await change(w, GATEWAY="hiapi")

        assert isinstance(await refused(w, gateway="shortapi"), GatewayRejected)


async def test_the_guilds_default_gateway_may_be_left_for_another_one(tmp_path):
    async with world(tmp_path, other_gateway=dearer()) as w:
        await change(w, GATEWAY="shortapi")

        assert not (await w.service.quote(w.ask())).request.pinned
        assert (await w.service.quote(w.ask(gateway="shortapi"))).request.pinned
        await change(w, GATEWAY="animatic")
        quote = await w.service.quote(w.ask())
        assert (quote.request.gateway, quote.request.pinned, quote.why_preview) == ("animatic", True, "")


async def test_an_option_that_rules_forbid_is_shown_so_in_the_list_of_gateways(tmp_path):
    async with world(tmp_path) as w:
        await set_rule(w, duration_max_s=6)

        made, taken = await w.service.offers_and_auto(w.ask(duration_s=9))

        assert taken is None
        assert {type(offer.problem) for offer in made} == {OptionRejected}


class TestInLine:
    """What managers decide while a job waits in line, behind one of the same person that takes ten minutes."""

    @asynccontextmanager
    async def waiting(self, tmp_path, **asked):
        async with world(tmp_path, caps=Caps(per_user=1, per_guild=10, per_gateway=8)) as w:
            w.gateway.read_script.extend([Reading(Progress.RUNNING)] * 40)
            await w.open(gateway="hiapi")
            yield w, await w.open(**asked)

    async def test_a_blocked_persons_job_ends_and_its_hold_is_released(self, tmp_path):
        async with self.waiting(tmp_path) as (w, opened):
            await w.store.block(user_id=1, until=None, reason="", act=ACT)
            await w.advance(900, step_s=5)

            job = await w.job(opened)
            assert (job.state, job.ending) == (JobState.FAILED, Ending.BLOCKED)
            assert (await w.standings())[0].on_hold == 0
            assert len(w.gateway.submitted) == 1
            assert await w.store.failures_today(user_id=1, now=w.clock.now()) == 0

    @pytest.mark.parametrize("gateway", ["hiapi", "animatic"])
    async def test_a_guilds_pause_lets_its_jobs_wait_and_others_pass(self, tmp_path, gateway):
        async with self.waiting(tmp_path, gateway=gateway) as (w, opened):
            await change(w, PAUSED=True)
            elsewhere = await w.open(user_id=2, place=Place(60, guild_id=8))
            await w.advance(900, step_s=5)
            assert (await w.job(opened)).state is JobState.HELD
            assert (await w.job(elsewhere)).state is JobState.STORED
            await change(w, PAUSED=False)
            await w.advance(60, step_s=5)

            assert (await w.job(opened)).state is JobState.STORED

    async def test_a_guilds_pause_of_an_hour_ends_what_waits(self, tmp_path):
        async with self.waiting(tmp_path) as (w, opened):
            await change(w, PAUSED=True)
            await w.advance(900, step_s=10)
            await w.advance(2_800, step_s=100)

            job = await w.job(opened)
            assert (job.state, job.ending) == (JobState.FAILED, Ending.LINE_TOO_LONG)

    @pytest.mark.parametrize("act", ["pause", "block"])
    async def test_nothing_is_sent_again_for_a_paused_guild_or_a_blocked_person(self, tmp_path, act):
        gateway = FakeGateway(capabilities("hiapi", idempotency=Idempotency.REPLAY))
        async with world(tmp_path, gateway=gateway) as w:
            w.gateway.gate.clear()
            w.gateway.submit_script.append(SubmissionUnconfirmed("hiapi", "read timeout"))
            opened = await w.open()
            if act == "pause":
                await change(w, PAUSED=True)
            else:
                await w.store.block(user_id=1, until=None, reason="", act=ACT)
            w.gateway.gate.set()
            await w.settle()
            await w.advance(120, step_s=5)
            assert len(w.gateway.submitted) == 1
            assert (await w.job(opened)).state is JobState.UNCONFIRMED

            if act == "pause":
                await change(w, PAUSED=False)
            else:
                await w.store.unblock(user_id=1, act=ACT)
            await w.advance(7_200, step_s=300)

            assert len(w.gateway.submitted) == 2
            assert (await w.job(opened)).charged_microusd == PRICE


@pytest.mark.parametrize("reads", ["request", "test of words"])
async def test_the_loop_goes_on_while_a_blocklist_is_looked_through(tmp_path, monkeypatch, reads):
    async with world(tmp_path) as w:
        await w.managers.add_word("gun", is_pattern=False, guild_id=7, actor_id=900)
        loop, begun, may_end = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def slow(found):
            def look(*arguments):
                loop.call_soon_threadsafe(begun.set)
                # On the loop itself nobody could let it end.
                assert may_end.wait(timeout=2)
                return found(*arguments)

            return look

        for name in ("found", "every_found"):
            monkeypatch.setattr(LinearPatterns, name, slow(getattr(LinearPatterns, name)))
        looking = w.service.request(w.ask()) if reads == "request" else w.managers.words_in("a gun", guild_id=7)
        running = asyncio.create_task(looking)
        async with asyncio.timeout(5):
            await begun.wait()
            may_end.set()
            assert await running
