"""`/video quota`: the card, and the forms by which people set lower limits for themselves."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.discord.client import GallopBot
from bot.domain.errors import StoreFailed
from bot.domain.guild import Act, PersonSettings
from bot.domain.rules import Rule, Scope
from bot.domain.windows import Window, ends_at
from tests.cogs.stage import Stage, shown, stage
from tests.cogs.walks import opened
from tests.fakes import START

AGAIN = {window: f"<t:{int(ends_at(START, window).timestamp())}:R>" for window in Window}
UNTIL = f"<t:{int(ends_at(START, Window.DAY).timestamp())}:f> ({AGAIN[Window.DAY]})"
LIMITS, ASK = "gallop:quota:limits", "gallop:quota:ask"


async def set_own(on: Stage, card: Any, button: str, **values: str) -> Any:
    """Press a button of the card, fill its form and send it."""
    form = await on.member.click(card.response, custom_id=button)
    return await on.member.submit_modal(form, values)


def typed_before(form: Any) -> list[str | None]:
    return [label["component"].get("value") for label in form.modal["components"]]


async def test_the_card_shows_each_limit_with_its_bar(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        await opened(on)

        card = await on.slash("quota")

        assert card.ephemeral
        assert shown(card).split("\n") == [
            "**Your quota**",
            f"You have $4.355 left until {UNTIL}.",
            "$0.645 of yours is on hold, for 1 job under way.",
            "**The operator's limit for each person, over all servers**",
            "Today: **$4.355 of $5.00 left** ← tightest",
            f"`▒▒░░░░░░░░` $0.645 on hold · starts again {AGAIN[Window.DAY]}",
            "This month: **$49.355 of $50.00 left**",
            f"`▒░░░░░░░░░` $0.645 on hold · starts again {AGAIN[Window.MONTH]}",
            "**The operator's limit for this server**",
            "This month: **$99.355 of $100.00 left**",
            f"`▒░░░░░░░░░` $0.645 on hold · starts again {AGAIN[Window.MONTH]}",
            "-# █ charged · ▒ on hold · ░ left",
        ]


async def test_the_rule_of_a_role_and_a_grant_are_named(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        role = on.guild.create_role("Creators")
        creator = on.guild.add_member(on.env.create_user("noa"), roles=[role])
        act = Act(on.guild.id, actor_id=99, at=on.clock.now())
        await on.store.set_rule(Rule(Scope.ROLE, role.id, week_microusd=2_000_000, duration_max_s=10), act=act)
        expires_at = on.clock.now() + timedelta(days=3)
        await on.store.add_grant(
            user_id=creator.id, amount_microusd=1_000_000, expires_at=expires_at, reason="the trailer", act=act
        )

        theirs = shown(await creator.slash(on.channel, "video quota"))

        at = int(expires_at.timestamp())
        assert f"**Server rule for <@&{role.id}>**\nThis week: **$2.00 of $2.00 left** ← tightest" in theirs
        assert f"$1.00 of $1.00 left until <t:{at}:f> (<t:{at}:R>): the trailer" in theirs
        assert "Rules for videos here: at most 10 s" in theirs
        assert "Creators" not in await on.say("quota")


async def test_own_limits_are_set_at_once_and_the_card_comes_back_with_them(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        card = await on.slash("quota")

        await set_own(on, card, LIMITS, day="2.50", week="", month="60")

        assert shown(card).startswith(
            "Your own limits are now $2.50 a day and $60.00 a month.\n"
            "$60.00 a month has no effect now; what counts is $50.00 a month (the operator's limit).\n"
            f"**Your quota**\nYour own limit of $2.50 a day leaves $2.50 until {UNTIL}.\n"
            "**Your own limit, over all servers**\nToday: **$2.50 of $2.50 left** ← tightest"
        )
        assert (await on.say("text", prompt="A boat", resolution="1080p", duration=15)).startswith(
            f"This would take $3.435; your own limit of $2.50 a day leaves $2.50 until {UNTIL}. Nothing was held.\n"
            "$0.935 is missing."
        )


async def test_the_forms_hold_what_is_set_and_blank_clears_it(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        card = await on.slash("quota")
        await set_own(on, card, LIMITS, day="2.50", week="", month="1000")
        await set_own(on, card, ASK, above="0")

        limits = await on.member.click(card.response, custom_id=LIMITS)
        ask = await on.member.click(card.response, custom_id=ASK)
        assert typed_before(limits) == ["2.50", None, "1000.00"]
        assert typed_before(ask) == ["0.00"]

        await on.member.submit_modal(limits, {"day": "", "week": "", "month": ""})
        assert shown(card).startswith("You have no limits of your own now.\n")
        await on.member.submit_modal(ask, {"above": ""})
        assert shown(card).startswith("You are asked only where a server wants it now.\n")
        assert await on.personal.settings(on.member.id) == PersonSettings(on.member.id)


async def test_the_own_threshold_is_said_and_stays_on_the_card(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        card = await on.slash("quota")

        await set_own(on, card, ASK, above="$1.5")

        assert shown(card).startswith("You are asked before a video of more than $1.50 now.\n")
        assert (await on.say("quota")).endswith("You are asked before a video of more than $1.50 (your own wish).")


async def test_a_bad_amount_is_refused_beside_the_card_and_changes_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        card = await on.slash("quota")
        before = shown(card)

        refused = await set_own(on, card, LIMITS, day="$1,50", week="3", month="")

        assert [message.content for message in refused.followups] == [
            "“$1,50” has a comma. Nothing was changed.\nWrite $1.50."
        ]
        assert shown(card) == before
        assert await on.personal.settings(on.member.id) == PersonSettings(on.member.id)


async def test_a_card_and_a_form_of_before_a_restart_are_answered_after_it(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        card = await on.slash("quota")
        form = await on.member.click(card.response, custom_id=LIMITS)
        bot = GallopBot()
        await on.add_cogs(bot)
        await on.env.restart_bot(bot)

        await on.member.submit_modal(form, {"day": "1"})
        again = await on.member.click(card.response, custom_id=LIMITS)

        assert shown(card).startswith("Your own limits are now $1.00 a day.\n")
        assert typed_before(again) == ["1.00", None, None]


async def test_in_a_direct_message_there_are_only_the_operators_and_own_limits(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        act = Act(on.guild.id, actor_id=99, at=on.clock.now())
        await on.store.set_rule(Rule(Scope.EVERYONE, day_microusd=1_000_000), act=act)
        user = on.env.create_user("ada")

        answer = shown(await user.slash("video quota"))

        assert "Rule for everyone" not in answer
        assert "this server" not in answer
        assert "Today: **$5.00 of $5.00 left** ← tightest" in answer


@pytest.mark.parametrize("button", [LIMITS, ASK])
async def test_a_failed_database_is_said_in_the_place_of_the_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, button: str
) -> None:
    async def fails(_user_id: int) -> None:
        raise StoreFailed

    async with stage(tmp_path, jobs_run=False) as on:
        card = await on.slash("quota")
        monkeypatch.setattr(on.store, "person", fails)

        answer = await on.member.click(card.response, custom_id=button)

        assert answer.ephemeral
        assert shown(answer) == (
            "The bot could not use its database. Nothing was changed or held.\nTry again in a minute."
        )
