"""`/video-admin quota`, `grant`, `block` and `words`: what managers set, read and press, in exact words."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.adapters.discord.client import GallopBot
from bot.domain.errors import StoreFailed
from bot.domain.rules import Rule, Scope
from tests.cogs.stage import Stage, shown, stage

CEILINGS = "$5.00 a day and $50.00 a month for each person, $100.00 a month for this server"
ABOVE = f"The operator's limits stand above it: {CEILINGS}."
ALL_ABOVE = f"Above all of them: the operator's limits, {CEILINGS}."
ORDER = (
    "-# A member's own rule comes first, then the largest of their roles' rules, then the one for everyone. "
    "What a channel and the pool have is shared by all there; each of them must allow a video."
)
NO_PREVIEW = "With a limit of 0 only free previews can be made."


@dataclass
class Scene:
    """The stage with a manager and a role that the member has."""

    on: Stage
    boss: Any
    role: Any

    async def run(self, name: str, by: Any = None, /, **options: Any) -> Any:
        result = await (by or self.boss).slash(self.on.channel, f"video-admin {name}", **options)
        assert result.ephemeral
        return result

    async def say(self, name: str, **options: Any) -> str:
        return shown(await self.run(name, **options))

    async def listed(self, command: str, option: str, typed: str = "", **filled: Any) -> list[str]:
        choices = await self.boss.autocomplete(self.on.channel, f"video-admin {command}", option, typed, **filled)
        return [choice["name"] for choice in choices]

    async def rules(self) -> list[Rule]:
        return [view.rule for view in await self.on.managers.rules(self.on.guild.id)]

    async def acts(self) -> int:
        return len(await self.on.store.audit(self.on.guild.id, before_id=None, limit=200))


@asynccontextmanager
async def scene_on(tmp_path: Path, *, jobs_run: bool = False) -> AsyncIterator[Scene]:
    async with stage(tmp_path, jobs_run=jobs_run) as on:
        role = on.guild.create_role("Creators")
        on.member = on.guild.add_member(on.env.create_user("ida"), roles=[role])
        yield Scene(on, manager(on, "otto"), role)


def manager(on: Stage, name: str) -> Any:
    role = on.guild.create_role(f"{name}s role", permissions=discord.Permissions(manage_guild=True))
    return on.guild.add_member(on.env.create_user(name), roles=[role])


def button(message: Any, label: str, holding: str = "") -> str:
    """Return the custom id of the one button of that label, of several the one whose id holds a text."""
    found = []

    def walk(parts: list[dict[str, Any]]) -> None:
        for part in parts:
            if part.get("label") == label and holding in part["custom_id"]:
                found.append(part["custom_id"])
            walk([*part.get("components", []), *([part["accessory"]] if "accessory" in part else [])])

    walk(message.components)
    [custom_id] = found
    return custom_id


def until(moment: datetime) -> str:
    return "until <t:{0}:f> (<t:{0}:R>)".format(int(moment.timestamp()))


def ago(moment: datetime) -> str:
    return f"<t:{int(moment.timestamp())}:R>"


async def test_a_rule_for_everyone_says_what_counts(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        assert await scene.say("quota set", day="$2.50", videos_week=3, longest=10, ratios="1:1, 16:9") == (
            "From now on each member has, unless a rule of their own or of a role says otherwise: "
            "$2.50 a day, 3 videos a week, at most 10 s, 1:1 or 16:9."
        )


async def test_a_rule_is_set_for_a_role_a_member_a_channel_and_the_pool(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        on, role, member = scene.on, scene.role, scene.on.member

        assert await scene.say("quota set", who=role, day="4") == (
            f"From now on each member with <@&{role.id}> has: $4.00 a day."
        )
        assert await scene.say("quota set", who=member, day="0", jobs_at_once=2) == (
            f"From now on <@{member.id}> has: $0.00 a day, 2 jobs at once.\n{NO_PREVIEW}"
        )
        assert await scene.say("quota set", channel=on.channel, week="20", resolutions="720p") == (
            f"From now on <#{on.channel.id}> has, for all together: $20.00 a week, 720p."
        )
        assert await scene.say("quota set", pool=True, month="80", gateways="HiAPI,shortapi") == (
            "From now on this server has, for all together: $80.00 a month, hiapi or shortapi."
        )
        assert await scene.rules() == [
            Rule(Scope.MEMBER, member.id, day_microusd=0, jobs_max=2),
            Rule(Scope.ROLE, role.id, day_microusd=4_000_000),
            Rule(Scope.CHANNEL, on.channel.id, week_microusd=20_000_000, resolutions=frozenset({"720p"})),
            Rule(Scope.POOL, month_microusd=80_000_000, gateways=frozenset({"hiapi", "shortapi"})),
        ]


async def test_the_role_everyone_is_everyone(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        await scene.say("quota set", who=scene.on.guild.default_role, day="1")

        assert await scene.rules() == [Rule(Scope.EVERYONE, day_microusd=1_000_000)]


async def test_what_stands_above_a_rule_is_said(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        assert await scene.say("quota set", day="unlimited", jobs_at_once=5) == (
            "From now on each member has, unless a rule of their own or of a role says otherwise: "
            "any amount a day, 5 jobs at once.\n"
            "The operator's limit of 3 jobs at once for each person stands above it.\n"
            f"{ABOVE}"
        )
        assert (await scene.say("quota set", pool=True, month="100.000001")).endswith(
            "\nThe operator's limit of $100.00 a month for this server stands above it."
        )


async def test_contradictions_are_said(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        await scene.say("quota set", pool=True, day="1", resolutions="1080p", gateways="hiapi")
        await scene.say("quota set", channel=scene.on.channel, ratios="1:1")

        said = await scene.say(
            "quota set", who=scene.role, day="2", month="1.50", resolutions="720p", gateways="animatic", ratios="16:9"
        )

        assert said.split("\n") == [
            f"From now on each member with <@&{scene.role.id}> has: $2.00 a day, $1.50 a month, 720p, animatic, 16:9.",
            "$1.50 a month is less than $2.00 a day, so the second never counts.",
            "$2.00 a day is more than the pool's $1.00 a day, so the pool's counts.",
            f"No ratio is allowed by both this and <#{scene.on.channel.id}>: no video can be made there.",
            "And 2 more contradictions.",
        ]


BAD_INPUT: list[tuple[dict[str, Any], str]] = [
    ({}, "No limit was given. Nothing was changed.\nFill in at least one of the limits, such as `day`."),
    ({"day": "-1"}, "“-1” is below zero. Nothing was changed.\nWrite an amount such as $5 or $0.645."),
    ({"day": "$1,50"}, "“$1,50” has a comma. Nothing was changed.\nWrite $1.50."),
    (
        {"month": "1000001"},
        "“1000001” is above $1,000,000.00, the most there can be. Nothing was changed.",
    ),
    (
        {"week": "0.0000001"},
        "“0.0000001” is finer than a millionth of a dollar. Nothing was changed.\nWrite at most six decimals.",
    ),
    (
        {"day": "1", "resolutions": "8k"},
        "`resolutions` cannot be “8k”. Nothing was changed.\nPossible: 720p or 1080p.",
    ),
    (
        {"day": "1", "gateways": ","},
        "`gateways` cannot be empty. Nothing was changed.\nPossible: shortapi, hiapi, pixeldojo or animatic.",
    ),
    (
        {"pool": True, "day": "1", "channel": "here"},
        "One rule is for one of them. Nothing was changed.\n"
        "Fill in `who`, `channel` or `pool`, or none of them for everyone.",
    ),
    (
        {"channel": "here", "jobs_at_once": 2},
        "A channel has no limit of jobs at once. Nothing was changed.\n"
        "Leave out `jobs_at_once`, or set it for the pool.",
    ),
]


async def test_bad_input_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        for options, words in BAD_INPUT:
            given = {name: scene.on.channel if value == "here" else value for name, value in options.items()}
            assert await scene.say("quota set", **given) == words

        assert await scene.rules() == []
        assert await scene.acts() == 0


async def test_an_amount_of_three_decimals_is_kept_exactly(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        assert "$1.005 a day" in await scene.say("quota set", day="1.005")
        assert await scene.rules() == [Rule(Scope.EVERYONE, day_microusd=1_005_000)]


async def test_a_change_counts_for_the_very_next_video(tmp_path: Path) -> None:
    async with scene_on(tmp_path, jobs_run=True) as scene:
        await scene.say("quota set", who=scene.role, videos_day=1)
        assert (await scene.on.say("text", prompt="A paper boat")).startswith("$0.645 on hold")
        assert "1 of 1 video" in await scene.on.say("text", prompt="A paper boat")

        await scene.say("quota set", who=scene.role, videos_day=2)

        assert (await scene.on.say("text", prompt="A paper boat")).startswith("$0.645 on hold")


async def test_a_second_manager_changes_only_what_they_say(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        other = manager(scene.on, "eve")

        await scene.run("quota set", who=scene.role, day="1")
        await scene.run("quota set", other, who=scene.role, week="3")

        assert await scene.rules() == [Rule(Scope.ROLE, scene.role.id, day_microusd=1_000_000, week_microusd=3_000_000)]


async def test_in_a_direct_message_there_is_no_server_to_manage(tmp_path: Path) -> None:
    async with stage(tmp_path, jobs_run=False) as on:
        user = on.env.create_user("otto")
        for command, options in [
            ("quota set", {"day": "1"}),
            ("quota clear", {"rule": "pool:0"}),
            ("quota show", {}),
            ("grants", {}),
            ("blocks", {}),
            ("words add", {"text": "boat"}),
            ("words show", {}),
            ("words test", {"text": "boat"}),
        ]:
            assert shown(await user.slash(f"video-admin {command}", **options)) == (
                "This works only on a server. Nothing was changed.\nUse it in a channel of the server that you manage."
            )
        assert await user.autocomplete("video-admin quota clear", "rule", "") == []
        assert await user.autocomplete("video-admin words remove", "text", "") == []


async def test_one_limit_is_cleared_or_the_whole_rule(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        await scene.say("quota set", who=scene.role, day="1", videos_week=3)
        rule = f"role:{scene.role.id}"

        assert await scene.say("quota clear", rule=rule, limit="videos_week") == (
            f"From now on each member with <@&{scene.role.id}> has: $1.00 a day."
        )
        assert await scene.say("quota clear", rule=f"<@&{scene.role.id}>") == (
            f"The rule for <@&{scene.role.id}> is gone. "
            "Its members have what their other roles have, else what everyone has."
        )
        assert await scene.say("quota clear", rule=rule) == (
            "There is no such rule. Nothing was changed.\n`/video-admin quota show` lists the rules."
        )


async def test_the_rule_for_everyone_is_cleared_by_its_role_too(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        await scene.say("quota set", day="1", longest=5)
        role = f"<@&{scene.on.guild.id}>"

        limits = await scene.boss.autocomplete(scene.on.channel, "video-admin quota clear", "limit", "", rule=role)
        assert [choice["value"] for choice in limits] == ["day", "longest"]
        assert (await scene.say("quota clear", rule=role)).startswith("The rule for everyone is gone.")


async def test_what_no_list_showed_is_no_rule(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        for rule in ("nonsense", "role:x", "role:-1", "role:٣", "member:" + "9" * 21, f"member:{2**63}", ":", "pool"):
            words = await scene.say("quota clear", rule=rule)
            assert words.startswith("There is no such rule. Nothing was changed."), rule


async def test_clearing_says_what_counts_instead(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        await scene.say("quota set", day="1")
        await scene.say("quota set", day="1", pool=True)

        assert await scene.say("quota clear", rule="everyone:0") == (
            "The rule for everyone is gone. "
            "Members without a rule of their own or of a role have only the operator's limits."
        )
        assert await scene.say("quota clear", rule="pool:0") == (
            "The pool's rule is gone. What all spend together has only the operator's limit."
        )


async def test_the_lists_of_clear_show_rules_and_their_limits(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        await scene.say("quota set", who=scene.role, day="1", videos_week=3)
        await scene.say("quota set", who=scene.on.member, longest=5)

        assert await scene.listed("quota clear", "rule") == [
            f"member {scene.on.member.id}: at most 5 s",
            "role Creators: $1.00 a day, 3 videos a week",
        ]
        assert await scene.listed("quota clear", "rule", f"<@{scene.on.member.id}>") == [
            f"member {scene.on.member.id}: at most 5 s"
        ]
        assert await scene.listed("quota clear", "rule", "creat") == ["role Creators: $1.00 a day, 3 videos a week"]
        assert await scene.listed("quota clear", "limit", rule=f"role:{scene.role.id}") == [
            "day: $1.00 a day",
            "videos_week: 3 videos a week",
        ]


async def test_a_list_with_commas_is_completed(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        assert await scene.listed("quota set", "resolutions") == ["720p", "1080p"]
        assert await scene.listed("quota set", "resolutions", "720p") == ["720p", "720p, 1080p"]
        assert await scene.listed("quota set", "gateways", "hiapi, sh") == ["hiapi, shortapi"]
        assert await scene.listed("quota set", "ratios", "nonsense") == []


async def test_lists_are_empty_while_the_database_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*_: object) -> None:
        raise StoreFailed

    async with scene_on(tmp_path) as scene:
        monkeypatch.setattr(scene.on.store, "rules", failing)
        monkeypatch.setattr(scene.on.store, "words", failing)

        assert await scene.listed("quota clear", "rule") == []
        assert await scene.listed("words remove", "text") == []


async def test_without_rules_the_list_says_so(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        assert await scene.say("quota show") == (
            f"This server has no rules. `/video-admin quota set` makes one.\n{ALL_ABOVE}"
        )


async def test_the_list_shows_every_rule_and_marks_what_is_gone(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        on = scene.on
        leaver = on.guild.add_member(on.env.create_user("leo"))
        gone = on.guild.create_role("Old")
        closed = on.guild.create_text_channel("closed")
        await scene.say("quota set", who=leaver, day="6")
        await scene.say("quota set", who=on.member, day="1")
        await scene.say("quota set", who=gone, day="1")
        await scene.say("quota set", channel=closed, day="1")
        on.guild.remove_member(leaver)
        await on.bot.get_guild(on.guild.id).get_role(gone.id).delete()
        await on.bot.get_channel(closed.id).delete()

        lines = (await scene.say("quota show")).split("\n")

        assert lines == [
            "**4 rules**",
            ORDER,
            ALL_ABOVE,
            f"**<@{on.member.id}>**",
            "$1.00 a day.",
            f"**<@{leaver.id}> (left)**",
            "$6.00 a day.",
            "The operator's limits stand above it.",
            f"**Deleted role {gone.id}**",
            "$1.00 a day.",
            f"**Deleted channel {closed.id}**",
            "$1.00 a day.",
        ]
        assert f"deleted role {gone.id}: $1.00 a day" in await scene.listed("quota clear", "rule")
        assert (await scene.say("quota clear", rule=f"role:{gone.id}")).startswith("The rule for")


async def test_pages_turn_also_after_a_restart_and_not_after_fifteen_minutes(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        for number in range(6):
            await scene.say("words add", text=f"w{number}")
            await scene.say("quota set", who=scene.on.guild.create_role(f"r{number}"), day="1")
        result = await scene.run("quota show")
        bot = GallopBot()
        await scene.on.add_cogs(bot)
        await scene.on.env.restart_bot(bot)

        turned = await scene.boss.click(result.response, label="Next")
        second = shown(turned)
        scene.on.clock.turn(15 * 60 + 1)
        late = await scene.boss.click(turned.response, label="Previous")

        assert second.count("$1.00 a day.") == 1
        assert "-# Page 2 of 2" in second
        assert late.followups[0].content == (
            "This card is older than 15 minutes. Nothing was changed.\nOpen it again with its command."
        )


async def test_a_grant_says_what_it_gives_and_what_it_does_not_lift(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        member, now = scene.on.member, scene.on.clock.now()
        await scene.say("quota set", who=scene.role, day="1")

        assert await scene.say("grant", member=member, amount="2", reason="won *it*") == (
            f"<@{member.id}> can use $2.00 {until(now + timedelta(days=30))}, where their limits on this server leave "
            f"too little. It lifts no pool and no channel's limit.\n{ABOVE}"
        )


async def test_a_grant_for_somebody_without_limits_says_that_it_is_not_needed(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        said = await scene.say("grant", member=scene.boss, amount="2", reason="won", expires="7d")

        assert said.split("\n")[1] == (
            "No rule of this server limits them now, so nothing is taken from it until one does."
        )


async def test_a_grant_that_cannot_be_is_not_made(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        for options, words in [
            ({"amount": "0"}, "“0” is nothing."),
            ({"amount": "unlimited"}, "“unlimited” is no amount of money."),
            ({"expires": "1e9d"}, "“1e9d” is no time ahead that can be used."),
            ({"expires": "2026-11-19"}, "“2026-11-19” is no time ahead that can be used."),
            ({"reason": "\u200b"}, "`reason` cannot be “\u200b”."),
        ]:
            said = await scene.say("grant", member=scene.on.member, **{"amount": "2", "reason": "won", **options})
            assert said.startswith(f"{words} Nothing was changed.\n")

        assert await scene.acts() == 0


async def test_a_grant_is_ended_by_its_button_once(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        member, now = scene.on.member, scene.on.clock.now()
        await scene.say("grant", member=member, amount="2", reason="won *it*")
        listed, again = await scene.run("grants"), await scene.run("grants")
        assert shown(listed).split("\n") == [
            "**1 open grant**",
            f"**<@{member.id}>** · $2.00 of $2.00 left {until(now + timedelta(days=30))}",
            "won \\*it\\*",
            f"-# by <@{scene.boss.id}> {ago(now)}",
        ]

        await scene.boss.click(listed.response, label="End")
        late = await scene.boss.click(again.response, label="End")

        assert shown(listed) == (
            f"The grant for <@{member.id}> has ended; $2.00 of $2.00 was not used.\n"
            "There are no open grants. `/video-admin grant` makes one."
        )
        assert late.followups[0].content == (
            "There is no such grant, or it has ended. Nothing was changed.\n`/video-admin grants` lists the open ones."
        )


async def test_a_block_counts_for_the_very_next_video_and_ends_by_its_button(tmp_path: Path) -> None:
    async with scene_on(tmp_path, jobs_run=True) as scene:
        member, end = scene.on.member, scene.on.clock.now() + timedelta(days=7)
        assert await scene.say("block", member=member, reason="spam", until="7d") == (
            f"<@{member.id}> can make no videos on this server {until(end)}.\n"
            "Videos of theirs in line are not made: the price is released when their turn comes. Those that a "
            "gateway has already go on."
        )
        assert (await scene.on.say("text", prompt="A paper boat")) == (
            f"This server's managers have blocked you from making videos here {until(end)}. Nothing was held.\n"
            "Ask them why."
        )
        listed = await scene.run("blocks")
        assert shown(listed).split("\n") == [
            "**1 blocked member**",
            f"**<@{member.id}>** · {until(end)}",
            "spam",
            f"-# by <@{scene.boss.id}> {ago(scene.on.clock.now())}",
        ]

        await scene.boss.click(listed.response, label="Unblock")

        assert shown(listed) == f"<@{member.id}> can make videos on this server again.\nNobody is blocked."
        assert (await scene.on.say("text", prompt="A paper boat")).startswith("$0.645 on hold")


async def test_a_member_who_left_can_be_unblocked(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        await scene.say("block", member=scene.on.member, reason="spam")
        assert (await scene.say("blocks")).split("\n")[1] == f"**<@{scene.on.member.id}>** · until unblocked"
        scene.on.guild.remove_member(scene.on.member)
        listed = await scene.run("blocks")

        await scene.boss.click(listed.response, label="Unblock")

        assert shown(listed).endswith("Nobody is blocked.")


async def test_unblocking_somebody_who_is_not_blocked_is_said(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        assert await scene.say("unblock", member=scene.on.member) == (
            "This member is not blocked. Nothing was changed.\n`/video-admin blocks` lists who is."
        )


async def test_a_word_counts_for_the_very_next_video_and_is_not_told(tmp_path: Path) -> None:
    async with scene_on(tmp_path, jobs_run=True) as scene:
        assert await scene.say("words add", text="Straße") == (
            "From now on prompts with the word “Straße” are refused, in capitals or not; other forms of it are not. "
            "Members are not told which one it was."
        )
        assert await scene.on.say("text", prompt="A boat in a STRAS\u200bSE") == (
            "The prompt has something that this server forbids. Nothing was held.\n"
            "Say it in other words, or ask a manager."
        )
        assert await scene.say("words remove", text="Straße") == "“Straße” is allowed again."
        assert (await scene.on.say("text", prompt="A boat in a Strasse")).startswith("$0.645 on hold")


async def test_the_blocklist_is_shown_and_tested_by_managers(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        empty = await scene.say("words show")
        await scene.say("words add", text="boat")
        assert await scene.say("words add", text="p[ae]per+", pattern=True) == (
            "From now on prompts that fit the pattern “p\\[ae\\]per+” are refused. "
            "Members are not told which one it was."
        )

        assert empty == "The blocklist is empty. `/video-admin words add` fills it."
        assert await scene.say("words show") == (
            "**1 of 200 words, 1 of 50 patterns**\nThe word “boat”\nThe pattern “p\\[ae\\]per+”"
        )
        assert await scene.say("words test", text="A PAPER boat") == (
            "This prompt would be refused: the word “boat” and the pattern “p\\[ae\\]per+”."
        )
        assert await scene.say("words test", text="A horse") == (
            "Nothing on the blocklist fits this text; the prompt would pass."
        )
        assert await scene.listed("words remove", "text", "p[") == ["p[ae]per+"]


async def test_a_pattern_that_may_run_for_ever_is_refused(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        for text in ("(a)\\1", "(?=a)"):
            said = await scene.say("words add", text=text, pattern=True)
            assert "is no pattern that can be used. Nothing was changed.\nClose every bracket; look-around" in said

        assert await scene.acts() == 0
