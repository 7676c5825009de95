"""Before money is spent: the card that asks, its buttons, its visible end, and the button of a refusal."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from discord import ui

from bot.adapters.discord.client import GallopBot
from bot.domain.errors import StoreFailed
from bot.domain.guild import Act, GuildField, PersonSettings
from bot.domain.kept_quotes import GOOD_FOR_S
from bot.domain.pricing import PriceRow
from bot.domain.quota import Limits
from bot.domain.request import Resolution
from bot.domain.rules import Rule, Scope
from bot.domain.windows import day_ends_at
from bot.presentation.layout import plain
from tests.cogs.stage import Stage, shown, stage
from tests.fakes import START
from tests.picture_samples import jpeg

DAY_ENDS = "until <t:{0}:f> (<t:{0}:R>)".format(int(day_ends_at(START).timestamp()))
TOMORROW = f"<t:{int(day_ends_at(START).timestamp())}:R>"
OFFER_ENDS = f"<t:{int(START.timestamp() + GOOD_FOR_S)}:R>"
PICTURE = ("boat.jpg", jpeg())
DEAR = {"prompt": "A paper boat", "resolution": "1080p", "duration": 10}
GONE = "This offer has expired. Nothing was held.\nAsk again with `/video` for a new one."
CHEAPER = ["Or for less:", "-# A free preview is pictures in slow moves, no generated video."]
FOUR_CHOICES = ["Make it for $2.29", "Cancel", "720p for $1.29", "5 s for $1.145", "Free preview"]


def lines(result: Any) -> list[str]:
    return shown(result).split("\n")


def labels(result: Any) -> list[str]:
    return [button["label"] for button in _buttons(result.response.components)]


def _buttons(components: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for component in components:
        found += [component] if component["type"] == 2 else _buttons(component.get("components", []))
    return found


def act(on: Stage) -> Act:
    return Act(on.guild.id, actor_id=99, at=on.clock.now())


@asynccontextmanager
async def asking(folder: Path, above_microusd: int = 1_000_000, **more: Any) -> Any:
    """A guild that wants prices above $1.00 confirmed."""
    async with stage(folder, **more) as on:
        await on.store.change_guild(GuildField.CONFIRM_ABOVE, above_microusd, act=act(on))
        yield on


async def press(on: Stage, card: Any, label: str, who: Any = None) -> Any:
    return await (who or on.member).click(card.response, label=label)


async def job_count(on: Stage) -> int:
    return len(await on.store.jobs_of(on.member.id, limit=10))


def pictures_in(folder: Path) -> int:
    return len(list(folder.rglob("*.jpg")))


async def test_a_dear_video_is_asked_first_and_a_cheap_one_is_not(tmp_path: Path) -> None:
    async with asking(tmp_path) as on:
        card = await on.slash("text", **DEAR)

        assert card.ephemeral
        assert lines(card) == [
            "**A paper boat**",
            "text · 10 s · 1080p · 16:9 · ShortAPI, HappyHorse 1.0",
            "This costs **$2.29**.",
            f"After it you have $2.71 left {DAY_ENDS}.",
            f"Nothing is on hold yet. This offer ends {OFFER_ENDS}.",
            "-# On this server you are asked before videos above $1.00.",
            *CHEAPER,
        ]
        assert labels(card) == FOUR_CHOICES
        assert await job_count(on) == 0
        assert (await on.say("text", prompt="A paper boat")).startswith("$0.645 on hold")


async def test_a_press_makes_it_and_the_card_becomes_the_answer(tmp_path: Path) -> None:
    async with asking(tmp_path) as on:
        card = await on.slash("text", **DEAR)

        pressed = await press(on, card, "Make it for $2.29")

        job = await on.newest_job()
        assert lines(card) == [
            f"$2.29 on hold; you have $2.71 left {DAY_ENDS}.",
            "1st in line.",
            f"Follow it here: https://discord.com/channels/{on.guild.id}/{on.channel.id}/{job.card.message_id}",
        ]
        assert labels(card) == []
        assert pressed.followups == []
        assert (job.request.price_microusd, job.request.duration_s) == (2_290_000, 10)


@pytest.mark.parametrize(
    ("label", "resolution", "duration_s", "price_microusd", "first"),
    [
        ("720p for $1.29", "720p", 10, 1_290_000, "$1.29 on hold;"),
        ("5 s for $1.145", "1080p", 5, 1_145_000, "$1.145 on hold;"),
        ("Free preview", "1080p", 10, 0, "Free preview, nothing is charged."),
    ],
)
async def test_a_cheaper_choice_is_made_at_its_price(
    tmp_path: Path, label: str, resolution: str, duration_s: int, price_microusd: int, first: str
) -> None:
    async with asking(tmp_path) as on:
        card = await on.slash("text", **DEAR)
        await press(on, card, label)

        request = (await on.newest_job()).request
        assert (request.resolution, request.duration_s, request.price_microusd) == (
            resolution,
            duration_s,
            price_microusd,
        )
        assert lines(card)[0].startswith(first)


async def test_a_dearer_gateway_by_name_has_the_cheaper_one_on_a_button(tmp_path: Path) -> None:
    async with asking(tmp_path, 0) as on:
        card = await on.slash("image", image=PICTURE, prompt="It moves", gateway="hiapi", ratio="1:1")

        assert lines(card)[1:3] == [
            "image · 1 picture · 5 s · 720p · 1:1 · HiAPI, HappyHorse 1.1",
            "This costs **$0.75**.",
        ]
        assert "-# On this server you are asked before every paid video." in lines(card)
        assert labels(card) == ["Make it for $0.75", "Cancel", "ShortAPI for $0.645", "Free preview"]
        await press(on, card, "ShortAPI for $0.645")

        job = await on.newest_job()
        assert (job.request.gateway, job.request.price_microusd, len(job.images)) == ("shortapi", 645_000, 1)


async def test_ones_own_wish_to_be_asked_counts_in_direct_messages_too(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        user = on.env.create_user("ann")
        await on.store.change_person(PersonSettings(user.id, confirm_above_microusd=500_000))

        card = await user.slash("video text", prompt="A paper boat")

        assert "-# You wished to be asked before videos above $0.50." in lines(card)
        assert labels(card) == ["Make it for $0.645", "Cancel", "Free preview"]
        await user.click(card.response, label="Make it for $0.645")
        assert "https://discord.com/channels/@me/" in shown(card)


async def test_the_card_says_how_long_it_usually_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(tmp_path) as on:

        async def usual_times_s(**_: object) -> list[float]:
            return [130.0] * 5

        monkeypatch.setattr(on.store, "usual_times_s", usual_times_s)

        assert "This costs **$2.29**, and usually takes about 2 minutes." in lines(await on.slash("text", **DEAR))


async def test_after_five_minutes_the_card_says_that_the_offer_has_expired(tmp_path: Path) -> None:
    async with asking(tmp_path) as on:
        card = await on.slash("image", image=PICTURE, **DEAR)
        assert pictures_in(tmp_path) == 1
        await on.turn(GOOD_FOR_S - 1)
        assert labels(card) == FOUR_CHOICES
        await on.turn(1)

        assert shown(card) == GONE
        assert labels(card) == []
        assert pictures_in(tmp_path) == 0
        assert await job_count(on) == 0


async def test_a_press_after_five_minutes_buys_nothing_though_the_card_could_not_be_changed(tmp_path: Path) -> None:
    async with asking(tmp_path) as on:
        card = await on.slash("text", **DEAR)
        on.env.inject_error("PATCH", "/webhooks/*", status=500, code=0, times=1)
        await on.turn(GOOD_FOR_S)
        assert labels(card) == FOUR_CHOICES

        await press(on, card, "Make it for $2.29")

        assert shown(card) == GONE
        assert await job_count(on) == 0


async def test_cancel_ends_the_offer(tmp_path: Path) -> None:
    async with asking(tmp_path) as on:
        card = await on.slash("image", image=PICTURE, **DEAR)
        await press(on, card, "Cancel")

        assert shown(card) == "Cancelled. Nothing was held."
        assert labels(card) == []
        assert pictures_in(tmp_path) == 0


async def test_pressed_twice_at_once_it_is_made_once_and_the_second_press_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asking(tmp_path) as on:
        card = await on.slash("text", **DEAR)
        open_job, going_on = on.store.open_job, asyncio.Event()

        async def slow(opening: Any) -> Any:
            await on.env.external_wait(going_on.wait(), reason="the disk is slow")
            return await open_job(opening)

        monkeypatch.setattr(on.store, "open_job", slow)
        await press(on, card, "Make it for $2.29")
        second = await press(on, card, "720p for $1.29")
        going_on.set()
        await on.env.settle()

        assert second.followups[0].content == (
            "This offer was taken already; its video is under way. Nothing more was held.\n`/video status` shows it."
        )
        assert lines(card)[0].startswith("$2.29 on hold;")
        assert await job_count(on) == 1


async def test_somebody_else_cannot_press_it(tmp_path: Path) -> None:
    async with asking(tmp_path) as on:
        card = await on.slash("text", **DEAR)
        bob = on.guild.add_member(on.env.create_user("bob"))
        custom_id = _buttons(card.response.components)[0]["custom_id"]
        copied = plain(ui.ActionRow(ui.Button(label="Make it", custom_id=custom_id)))
        copy = await on.bot.get_channel(on.channel.id).send(view=copied)

        answer = await bob.click(copy, label="Make it")

        assert answer.followups[0].content == (
            "This offer has expired, or is somebody else's. Nothing was held.\nAsk again with `/video` for a new one."
        )
        assert await on.store.jobs_of(bob.id, limit=1) == []
        await press(on, card, "Make it for $2.29")
        assert await job_count(on) == 1


async def forged(on: Stage, custom_id: str) -> Any:
    """Press a button with a custom id of somebody's own making; return the answer."""
    copied = plain(ui.ActionRow(ui.Button(label="Make it", custom_id=custom_id)))
    copy = await on.bot.get_channel(on.channel.id).send(view=copied)
    return await on.member.click(copy, label="Make it")


async def test_a_choice_that_the_offer_never_had_leaves_it_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asking(tmp_path) as on:
        card = await on.slash("text", **DEAR)
        press_choice = on.service.press
        monkeypatch.setattr(on.service, "press", lambda quote_id, _, **more: press_choice(quote_id, 9, **more))

        answer = await press(on, card, "Make it for $2.29")

        assert (
            answer.followups[0].content == "This offer has no such choice. Nothing was held.\nPress one of its buttons."
        )
        assert labels(card) == FOUR_CHOICES
        monkeypatch.undo()
        await press(on, card, "Make it for $2.29")
        assert await job_count(on) == 1


@pytest.mark.parametrize("choice", ["0", "cancel"])
async def test_an_offer_whose_number_cannot_be_is_none(tmp_path: Path, choice: str) -> None:
    async with asking(tmp_path) as on:
        answer = await forged(on, f"gallop:quote:{2**63}-0:{choice}")

        assert answer.followups[0].content.startswith("This offer has expired, or is somebody else's.")


async def test_after_a_restart_the_card_says_that_the_offer_has_expired(tmp_path: Path) -> None:
    async with asking(tmp_path) as on:
        card = await on.slash("text", **DEAR)
        bot = GallopBot()
        await on.add_cogs(bot)
        await on.env.restart_bot(bot)

        await press(on, card, "Make it for $2.29")

        assert shown(card) == GONE
        assert await job_count(on) == 0


async def test_a_price_that_changed_is_shown_and_must_be_pressed_again(tmp_path: Path) -> None:
    async with asking(tmp_path) as on:
        card = await on.slash("text", prompt="A paper boat", duration=10)
        facts = on.gateways["shortapi"].capabilities
        prices = {Resolution.P720: PriceRow(second_microusd=140_000)}
        on.gateways["shortapi"].capabilities = replace(facts, prices=prices)
        await on.turn(60)
        await press(on, card, "Make it for $1.29")

        assert lines(card)[2:5] == [
            "The price has changed from $1.29 to $1.40. Nothing was held.",
            "This is the new offer.",
            "This costs **$1.40**.",
        ]
        assert labels(card) == ["Make it for $1.40", "Cancel", "5 s for $0.70", "Free preview"]
        assert await job_count(on) == 0
        await on.turn(GOOD_FOR_S - 1)
        await press(on, card, "Make it for $1.40")
        assert (await on.newest_job()).request.price_microusd == 1_400_000


async def test_a_refused_press_is_said_beside_the_card_which_stays(tmp_path: Path) -> None:
    async with asking(tmp_path) as on:
        card = await on.slash("text", **DEAR)
        await on.store.set_paused(True)

        refused = await press(on, card, "Make it for $2.29")

        assert refused.followups[0].content.startswith("The operator has paused new videos. Nothing was held.")
        assert labels(card) == FOUR_CHOICES


async def test_a_refusal_has_what_would_pass_on_a_button(tmp_path: Path) -> None:
    async with stage(tmp_path, limits=Limits(1_400_000, None, None, None)) as on:
        refusal = await on.slash("text", **DEAR)
        assert lines(refusal)[0].startswith("This would take $2.29; you have $1.40 left")
        assert labels(refusal) == ["720p for $1.29", "Quota"]

        await press(on, refusal, "720p for $1.29")

        assert lines(refusal)[0] == f"$1.29 on hold; you have $0.11 left {DAY_ENDS}."
        assert (await on.newest_job()).request.price_microusd == 1_290_000


@pytest.mark.parametrize(
    ("limit_microusd", "asked", "label"),
    [
        (516_000, {}, "4 s for $0.516"),
        (1_200_000, {"resolution": "1080p", "duration": 10}, "720p, 9 s for $1.161"),
        (700_000, {"gateway": "hiapi"}, "ShortAPI for $0.645"),
        (600_000, {"gateway": "hiapi"}, "4 s for $0.60"),
        (100_000, {}, "Free preview"),
    ],
)
async def test_the_refusals_button_names_what_is_different(
    tmp_path: Path, limit_microusd: int, asked: dict[str, Any], label: str
) -> None:
    async with stage(tmp_path, limits=Limits(limit_microusd, None, None, None)) as on:
        refusal = await on.slash("text", prompt="A paper boat", **asked)

        assert labels(refusal) == [label, "Quota"]
        await press(on, refusal, label)
        assert await job_count(on) == 1


async def test_a_refusals_offer_expires_too_and_its_words_stay(tmp_path: Path) -> None:
    async with stage(tmp_path, limits=Limits(1_400_000, None, None, None)) as on:
        refusal = await on.slash("text", **DEAR)
        words = lines(refusal)
        await on.turn(GOOD_FOR_S)

        assert lines(refusal) == [*words, "-# The offer (720p for $1.29) has expired."]
        assert labels(refusal) == ["Quota"]


async def test_the_refusals_quota_button_shows_the_quota_privately(tmp_path: Path) -> None:
    async with stage(tmp_path, limits=Limits(0, None, None, None)) as on:
        for _ in range(10):
            await on.say("text", prompt="A paper boat", gateway="animatic")
        refusal = await on.slash("text", prompt="A paper boat")
        assert labels(refusal) == ["Quota"]

        card = await press(on, refusal, "Quota")

        assert card.ephemeral
        assert lines(card)[0] == "**Your quota**"
        assert labels(refusal) == ["Quota"]


async def test_what_a_hold_crosses_is_one_line_of_the_answer(tmp_path: Path) -> None:
    async with stage(tmp_path, limits=Limits(1_000_000, None, None, None)) as on:
        await on.store.set_rule(Rule(Scope.EVERYONE, day_microusd=700_000), act=act(on))

        assert lines(await on.slash("text", prompt="A paper boat"))[1] == (
            f"You have used 92 % of $0.70 today (rule for everyone); it starts again {TOMORROW}."
        )


async def test_what_breaks_while_a_quote_ends_is_logged_and_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with asking(tmp_path) as on:

        async def fail(_quote: object) -> None:
            raise StoreFailed

        monkeypatch.setattr(on.service, "quote_over", fail)
        card = await on.slash("text", **DEAR)

        assert "quote not ended" in caplog.text
        assert labels(card) == FOUR_CHOICES
