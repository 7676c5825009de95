"""`/video-admin settings`, `time-zone`, `pause`, `resume` and `audit`: what managers see, choose and look back at."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import discord
import pytest
from discord import ui

from bot.adapters.discord.client import GallopBot
from bot.domain.errors import StoreFailed
from bot.domain.guild import Act, Defaults, GuildField, GuildSettings
from bot.domain.request import Resolution
from bot.domain.windows import TimeZone
from bot.presentation.card_age import opened_mark
from bot.presentation.layout import plain
from tests.cogs.stage import Stage, shown, stage, texts

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
TOO_OLD = "This card is older than 15 minutes. Nothing was changed.\nOpen it again with its command."
WHERE = [
    "**Settings of this server: where and who**",
    "A list without a choice allows all.",
    "**New videos** can be made.",
    "**Channels** in which videos can be made",
    "**Roles** whose members can make videos",
    "**Gateways**, the services that make the videos; the free preview is always allowed",
]


@dataclass
class Scene:
    """The stage with a manager, and what a manager does."""

    on: Stage
    boss: Any

    async def opened(self, page: str = "") -> Any:
        result = await self.boss.slash(self.on.channel, "video-admin settings")
        assert result.ephemeral
        return await self.press(result, page) if page else result

    async def press(self, card: Any, label: str, who: Any = None) -> Any:
        return await (who or self.boss).click(card.response, label=label)

    async def choose(self, card: Any, what: str, *values: Any, who: Any = None) -> Any:
        menu = part(card, what)
        return await (who or self.boss).select(card.response, list(values), custom_id=menu["custom_id"])

    async def asked(self, card: Any, what: str) -> Any:
        return await self.boss.click(card.response, custom_id=part(card, what)["custom_id"])

    async def typed(self, card: Any, what: str, text: str) -> Any:
        return await self.boss.submit_modal(await self.asked(card, what), {"value": text})

    async def settings(self) -> GuildSettings:
        return await self.on.store.guild(self.on.guild.id)

    async def change(self, field: GuildField, value: object) -> None:
        act = Act(self.on.guild.id, self.boss.id, self.on.clock.now())
        await self.on.store.change_guild(field, value, act=act)


@asynccontextmanager
async def scene_on(tmp_path: Path, *, jobs_run: bool = False) -> AsyncIterator[Scene]:
    async with stage(tmp_path, jobs_run=jobs_run) as on:
        yield Scene(on, manager(on, "otto"))


def manager(on: Stage, name: str) -> Any:
    role = on.guild.create_role(name, permissions=discord.Permissions(manage_guild=True))
    return on.guild.add_member(on.env.create_user(name), roles=[role])


def parts(card: Any) -> Iterator[dict[str, Any]]:
    def walk(components: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for component in components:
            yield component
            yield from walk(component.get("components", []))
            if "accessory" in component:
                yield component["accessory"]

    return walk(card.response.components)


def part(card: Any, what: str) -> dict[str, Any]:
    """Return the list or button for a setting."""
    [found] = [each for each in parts(card) if f":{what}:" in each.get("custom_id", "")]
    return found


def lists(card: Any) -> list[dict[str, Any]]:
    return [each for each in parts(card) if each["type"] in {3, 6, 8}]


def said(card: Any) -> list[str]:
    return "\n".join(texts(card.response.components)).split("\n")


def picked(card: Any, what: str) -> list[Any]:
    menu = part(card, what)
    options = [option["value"] for option in menu.get("options", []) if option["default"]]
    return options or [int(each["id"]) for each in menu.get("default_values", [])]


async def test_the_card_of_a_new_server_says_what_counts(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        card = await scene.opened()
        defaults, money = await scene.opened("Defaults"), await scene.opened("Money and time")

        assert said(card) == WHERE
        assert [each.get("placeholder") for each in lists(card)] == ["Every channel", "Everybody", "Every gateway"]
        assert said(defaults) == [
            "**Settings of this server: defaults**",
            "What counts where a member chooses nothing. What rules forbid stays forbidden.",
            "**Resolution**",
            "**Length**",
            "**Ratio**; `/video image` keeps the picture's own",
            "**Gateway**",
        ]
        assert picked(defaults, "default_resolution") == ["720p"]
        assert picked(defaults, "default_duration_s") == ["5"]
        assert picked(defaults, "default_ratio") == []
        assert picked(defaults, "default_gateway") == ["auto"]
        assert said(money) == [
            "**Settings of this server: money and time**",
            "**Confirmation:** none",
            "Members who want to be asked before a video is paid set that in `/video quota`.",
            "**Time zone:** UTC",
            "This server's limits begin anew at midnight there.",
            "**Videos are kept for:** 30 days, as the operator set",
            "Then the bot deletes prompts, pictures and its copy of the video; what stands in Discord stays.",
            "**Audit channel**, where every act of managers and operators is posted",
            "Whoever can read the channel can read them.",
        ]


async def test_channels_roles_and_gateways_are_chosen_from_lists_that_then_show_the_choice(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        other, role = scene.on.guild.create_text_channel("films"), scene.on.guild.create_role("creators")

        card = await scene.choose(await scene.opened(), "channel_ids", other, scene.on.channel)
        one, two = sorted([other.id, scene.on.channel.id])
        assert said(card) == [f"Videos can be made in <#{one}> and <#{two}>, from the next command on.", *WHERE]
        assert picked(card, "channel_ids") == [one, two]

        card = await scene.choose(card, "role_ids", role)
        assert said(card)[0] == f"Videos can be made by those who have <@&{role.id}>, from the next command on."
        assert picked(card, "role_ids") == [role.id]

        card = await scene.choose(card, "gateways", "hiapi")
        assert said(card)[0] == (
            "Videos are made only by HiAPI, from the next command on. The free preview is always allowed."
        )
        assert picked(card, "gateways") == ["hiapi"]
        assert await scene.settings() == GuildSettings(
            scene.on.guild.id, channel_ids=frozenset({one, two}), role_ids=frozenset({role.id})
        )


async def test_a_list_with_nothing_chosen_allows_all(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        card = await scene.choose(await scene.opened(), "channel_ids", scene.on.channel)
        card = await scene.choose(card, "role_ids", scene.on.guild.create_role("creators"))
        card = await scene.choose(card, "gateways", "hiapi", "shortapi")

        lines = []
        for what in ("channel_ids", "role_ids", "gateways"):
            card = await scene.choose(card, what)
            lines.append(said(card)[0])

        assert lines == [
            "Videos can be made in every channel, from the next command on.",
            "Videos can be made by everybody, from the next command on.",
            "Every gateway may be used, from the next command on.",
        ]
        assert await scene.settings() == GuildSettings(scene.on.guild.id)
        assert await scene.on.store.rules(scene.on.guild.id) == []


@pytest.mark.parametrize(
    ("what", "value", "line", "defaults"),
    [
        (
            "default_resolution",
            "1080p",
            "The default resolution is 1080p, from the next command on.",
            Defaults(resolution=Resolution.P1080),
        ),
        ("default_duration_s", "8", "The default length is 8 s, from the next command on.", Defaults(duration_s=8)),
        ("default_ratio", "9:16", "The default ratio is 9:16, from the next command on.", Defaults(ratio="9:16")),
        (
            "default_gateway",
            "animatic",
            "The default gateway is Animatic, from the next command on.",
            Defaults(gateway="animatic"),
        ),
    ],
)
async def test_defaults_are_chosen_from_lists(
    tmp_path: Path, what: str, value: str, line: str, defaults: Defaults
) -> None:
    async with scene_on(tmp_path) as scene:
        card = await scene.choose(await scene.opened("Defaults"), what, value)

        assert said(card)[:2] == [line, "**Settings of this server: defaults**"]
        assert picked(card, what) == [value]
        assert (await scene.settings()).defaults == defaults


async def test_a_default_gateway_that_is_not_allowed_is_said_to_have_no_effect(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        await scene.choose(await scene.opened(), "gateways", "hiapi")
        card = await scene.choose(await scene.opened("Defaults"), "default_gateway", "shortapi")

        assert said(card)[-1] == "ShortAPI is not allowed here: auto counts in its place."


async def test_thresholds_zones_and_days_are_typed_into_forms_that_hold_what_is_set(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        card = await scene.opened("Money and time")

        card = await scene.typed(card, "confirm_above_microusd", " $1,000 ")
        assert said(card)[0].startswith("“$1,000” has a comma")
        card = await scene.typed(card, "confirm_above_microusd", " $1000.5 ")
        assert said(card)[0] == (
            "Before a video of more than $1,000.50 its price is shown and confirmed, from the next command on."
        )
        card = await scene.typed(card, "time_zone", "berlin")
        midnight = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp())
        assert said(card)[0] == (
            f"The time zone is Europe/Berlin from <t:{midnight}:f> (<t:{midnight}:R>) on; until then UTC counts, so "
            "that no limit begins anew early."
        )
        card = await scene.typed(card, "retention_days", "7")
        assert said(card)[0] == "Videos are kept for 7 days. Older ones are deleted within the next minutes."

        assert await scene.settings() == GuildSettings(
            scene.on.guild.id,
            confirm_above_microusd=1_000_500_000,
            time_zone=TimeZone("UTC", "Europe/Berlin", DECEMBER),
            retention_days=7,
        )
        forms = [
            (await scene.asked(card, what)).modal["components"][0]["component"]["value"]
            for what in ("confirm_above_microusd", "time_zone", "retention_days")
        ]
        assert forms == ["1000.50", "Europe/Berlin", "7"]


async def test_an_empty_form_sets_the_default(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        card = await scene.opened("Money and time")
        lines = []
        for what, text in (("confirm_above_microusd", "0"), ("time_zone", "Asia/Tokyo"), ("retention_days", "1")):
            card = await scene.typed(card, what, text)
            card = await scene.typed(card, what, " ")
            lines.append(said(card)[0])

        assert lines == [
            "Nobody is asked before a video is made, from the next command on; people can still ask for it for "
            "themselves.",
            "The time zone is UTC.",
            "Videos are kept for 30 days, as the operator set.",
        ]
        assert await scene.settings() == GuildSettings(scene.on.guild.id)


@pytest.mark.parametrize(
    ("what", "text", "line"),
    [
        ("retention_days", "31", "`retention` cannot be “31”. Nothing was changed.\nPossible: 1 to 30."),
        ("retention_days", "soon", "`retention` cannot be “soon”. Nothing was changed.\nPossible: 1 to 30."),
        (
            "time_zone",
            "Atlantis",
            "There is no time zone “Atlantis”. Nothing was changed.\n"
            "Name one such as Europe/Berlin; `/video-admin time-zone` lists them.",
        ),
    ],
)
async def test_what_cannot_be_is_refused_on_the_card_and_nothing_is_changed(
    tmp_path: Path, what: str, text: str, line: str
) -> None:
    async with scene_on(tmp_path) as scene:
        card = await scene.typed(await scene.opened("Money and time"), what, text)

        assert "\n".join(said(card)).startswith(f"{line}\n**Settings of this server: money and time**")
        assert await scene.settings() == GuildSettings(scene.on.guild.id)


async def test_an_audit_channel_is_chosen_and_taken_away(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        channel = scene.on.guild.create_text_channel("log")
        card = await scene.choose(await scene.opened("Money and time"), "audit_channel_id", channel)
        line, chosen = said(card)[0], picked(card, "audit_channel_id")
        card = await scene.choose(card, "audit_channel_id")

        assert line == f"What managers and operators do is posted in <#{channel.id}> from now on."
        assert chosen == [channel.id]
        assert said(card)[0] == "What managers and operators do is posted nowhere; `/video-admin audit` shows it."
        assert (await scene.settings()).audit_channel_id is None


async def test_an_audit_channel_that_is_closed_to_the_bot_is_said_to_be(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        me = scene.on.guild.me
        closed = discord.PermissionOverwrite(send_messages=False)
        channel = scene.on.guild.create_text_channel("log", overwrites={me: closed})

        card = await scene.choose(await scene.opened("Money and time"), "audit_channel_id", channel)

        assert said(card)[1] == (
            "The bot cannot write there yet: it lacks Send Messages. Until then acts wait, a day at most."
        )


async def test_new_videos_are_paused_and_resumed_by_the_card_and_by_command(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        paused = [
            "New videos are paused in this server from now on.",
            "What a gateway has already goes on. What waits in line waits an hour at most, then its price is released. "
            "`/video-admin resume` ends the pause.",
        ]
        resumed = "New videos can be made in this server again. What waited in line goes on."

        card = await scene.press(await scene.opened(), "Pause")
        assert said(card)[:2] == paused
        assert said(card)[4] == "**New videos are paused.** What a gateway has already goes on."
        assert (await scene.settings()).paused
        assert await scene.on.say("text", prompt="a horse") == (
            "This server's managers have paused new videos. Nothing was held.\n"
            "Those already under way go on. Ask again later."
        )
        card = await scene.press(card, "Resume")
        assert said(card)[0] == resumed
        assert not (await scene.settings()).paused

        assert shown(await scene.boss.slash(scene.on.channel, "video-admin pause")) == "\n".join(paused)
        assert (await scene.settings()).paused
        assert shown(await scene.boss.slash(scene.on.channel, "video-admin resume")) == resumed
        assert not (await scene.settings()).paused


async def test_a_deleted_channel_is_shown_and_can_be_forgotten(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        await scene.change(GuildField.CHANNELS, frozenset({123, scene.on.channel.id}))

        card = await scene.opened()
        assert said(card)[4] == "Deleted since they were chosen: `123`."
        assert [int(each["id"]) for each in lists(card)[0]["default_values"]] == [scene.on.channel.id]
        tidied = await scene.press(card, "Forget deleted channels")

        assert picked(tidied, "channel_ids") == [scene.on.channel.id]
        assert said(tidied) == [
            f"Videos can be made in <#{scene.on.channel.id}>, from the next command on.",
            *WHERE,
        ]
        assert (await scene.settings()).channel_ids == {scene.on.channel.id}


async def test_where_all_roles_were_deleted_the_card_says_that_nobody_can_make_a_video(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        await scene.change(GuildField.ROLES, frozenset({123, 124}))

        card = await scene.opened()
        assert said(card)[5] == (
            "All that were chosen are deleted (`123` and `124`), so nobody can make a video. Choose anew, or forget "
            "them: then everybody is allowed."
        )
        tidied = await scene.press(card, "Forget deleted roles")

        assert said(tidied)[0] == "Videos can be made by everybody, from the next command on."


async def test_a_deleted_audit_channel_is_shown(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        await scene.change(GuildField.AUDIT_CHANNEL, 123)

        card = await scene.opened("Money and time")

        assert said(card)[-1] == "The chosen channel `123` was deleted."
        assert picked(card, "audit_channel_id") == []


async def test_a_change_counts_for_the_very_next_command(tmp_path: Path) -> None:
    async with scene_on(tmp_path, jobs_run=True) as scene:
        films = scene.on.guild.create_text_channel("films")
        card = await scene.choose(await scene.opened(), "channel_ids", films)
        refused = await scene.on.say("text", prompt="a horse")
        await scene.choose(card, "channel_ids")
        await scene.on.say("text", prompt="a horse")

        assert "This server allows videos only in other channels." in refused
        assert len(await scene.on.store.jobs_of(scene.on.member.id, limit=9)) == 1


async def test_two_managers_with_a_card_each_change_different_settings_and_both_stay(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        other = manager(scene.on, "ada")
        mine = await scene.opened("Defaults")
        theirs = await other.slash(scene.on.channel, "video-admin settings")

        await scene.choose(theirs, "channel_ids", scene.on.channel, who=other)
        await scene.choose(mine, "default_resolution", "1080p")

        settings = await scene.settings()
        assert settings.defaults.resolution is Resolution.P1080
        assert settings.channel_ids == {scene.on.channel.id}


async def test_a_card_older_than_15_minutes_changes_nothing_whatever_is_pressed(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        card, money = await scene.opened(), await scene.opened("Money and time")
        form = await scene.asked(money, "retention_days")
        scene.on.clock.turn(901)

        answers = [
            await scene.choose(card, "channel_ids", scene.on.channel),
            await scene.press(card, "Pause"),
            await scene.press(card, "Defaults"),
            await scene.boss.submit_modal(form, {"value": "7"}),
        ]
        asked = await scene.asked(money, "time_zone")

        assert [answer.followups[0].content for answer in answers] == [TOO_OLD] * 4
        assert asked.modal is None
        assert asked.response.content == TOO_OLD
        assert await scene.settings() == GuildSettings(scene.on.guild.id)


async def test_a_press_does_not_make_a_card_younger(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        card = await scene.opened()
        scene.on.clock.turn(600)
        card = await scene.press(card, "Defaults")
        scene.on.clock.turn(600)

        answer = await scene.press(card, "Money and time")

        assert answer.followups[0].content == TOO_OLD


async def test_card_and_form_of_before_a_restart_still_work(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        card, money = await scene.opened(), await scene.opened("Money and time")
        form = await scene.asked(money, "retention_days")
        bot = GallopBot()
        await scene.on.add_cogs(bot)
        await scene.on.env.restart_bot(bot)

        chosen = await scene.choose(card, "channel_ids", scene.on.channel)
        typed = await scene.boss.submit_modal(form, {"value": "7"})

        assert said(chosen)[0] == f"Videos can be made in <#{scene.on.channel.id}>, from the next command on."
        assert said(typed)[0].startswith("Videos are kept for 7 days.")
        assert bot._connection._view_store._modals == {}
        assert bot._connection._view_store._views == {}


async def test_a_failing_database_is_said_beside_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StoreFailed

    async with scene_on(tmp_path) as scene:
        card = await scene.opened()
        monkeypatch.setattr(scene.on.store, "change_guild", fail)

        answer = await scene.press(card, "Pause")

        assert answer.followups[0].content.startswith("The bot could not use its database. Nothing was changed")


async def test_without_manage_server_there_is_no_card(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        commands = scene.on.member.available_commands(scene.on.channel)

        assert "video text" in commands
        assert not [command for command in commands if command.startswith("video-admin")]


@pytest.mark.parametrize("command", ["settings", "pause", "resume", "audit"])
async def test_in_a_direct_message_there_is_nothing_to_set(tmp_path: Path, command: str) -> None:
    async with scene_on(tmp_path) as scene:
        result = await scene.on.env.create_user("ada").slash(f"video-admin {command}")

        assert shown(result) == (
            "This works only on a server. Nothing was changed.\nUse it in a channel of the server that you manage."
        )


async def test_a_time_zone_is_found_by_typing_a_city(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        found = await scene.boss.autocomplete(scene.on.channel, "video-admin time-zone", "zone", "ber")
        spaced = await scene.boss.autocomplete(scene.on.channel, "video-admin time-zone", "zone", "new yo")
        every = await scene.boss.autocomplete(scene.on.channel, "video-admin time-zone", "zone", "")
        none = await scene.boss.autocomplete(scene.on.channel, "video-admin time-zone", "zone", "atlantis")

        assert [choice["value"] for choice in found][:2] == ["Atlantic/Bermuda", "Europe/Berlin"]
        assert [choice["value"] for choice in spaced] == ["America/New_York"]
        assert spaced[0]["name"].startswith("America/New_York (")
        assert len(every) == 25
        assert none == []


async def test_a_time_zone_is_set_by_command(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        result = await scene.boss.slash(scene.on.channel, "video-admin time-zone", zone="America/New_York")
        same = await scene.boss.slash(scene.on.channel, "video-admin time-zone", zone="UTC")

        assert shown(result).startswith("The time zone is America/New_York from <t:")
        assert shown(same) == "The time zone is UTC."


async def test_the_audit_is_paged_newest_first(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        for days in range(1, 8):
            await scene.change(GuildField.RETENTION, days)
        at = f"<t:{int(scene.on.clock.now().timestamp())}:f>"

        card = await scene.boss.slash(scene.on.channel, "video-admin audit")
        first = said(card)
        second = said(await scene.press(card, "Older"))
        again = said(await scene.press(card, "Newest"))

        assert card.ephemeral
        assert first[:3] == [
            "**What managers and operators did here**",
            f"<@{scene.boss.id}> set retention · {at}",
            "-# 6 days → 7 days",
        ]
        assert [line for line in second if line.startswith("-#")] == [
            "-# 1 day → 2 days",
            "-# the operator's → 1 day",
        ]
        assert again == first


async def test_the_audit_of_one_member_shows_what_was_done_about_them(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        act = Act(scene.on.guild.id, scene.boss.id, scene.on.clock.now())
        await scene.change(GuildField.RETENTION, 3)
        await scene.on.store.block(user_id=scene.on.member.id, until=None, reason="spam", act=act)

        card = await scene.boss.slash(scene.on.channel, "video-admin audit", member=scene.on.member)
        nobody = await scene.boss.slash(scene.on.channel, "video-admin audit", member=scene.boss)

        at = f"<t:{int(scene.on.clock.now().timestamp())}:f>"
        assert said(card) == [
            f"**What was done about <@{scene.on.member.id}>**",
            f"<@{scene.boss.id}> blocked <@{scene.on.member.id}> · {at}",
            "-# none → until unblocked: spam",
        ]
        assert said(nobody)[1] == "Nothing was done here yet."


async def test_the_pages_of_an_old_audit_are_not_turned(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        for days in range(1, 8):
            await scene.change(GuildField.RETENTION, days)
        card = await scene.boss.slash(scene.on.channel, "video-admin audit")
        scene.on.clock.turn(901)

        assert (await scene.press(card, "Older")).followups[0].content == TOO_OLD


async def test_a_card_opened_before_the_clock_was_set_back_is_answered_no_more(tmp_path: Path) -> None:
    async with scene_on(tmp_path) as scene:
        card, audit = await scene.opened(), await scene.boss.slash(scene.on.channel, "video-admin audit")
        assert said(audit)
        scene.on.clock.set_back(120)

        assert (await scene.press(card, "Pause")).followups[0].content == TOO_OLD
        assert not (await scene.settings()).paused


@pytest.mark.parametrize("what", ["channel_ids", "role_ids", "audit_channel_id"])
async def test_a_channel_or_role_of_another_server_is_not_chosen(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene_on(tmp_path) as scene:
        other = scene.on.env.create_guild()
        foreign = other.create_role("theirs") if what == "role_ids" else other.create_text_channel("theirs")
        card = await scene.opened("Money and time" if what == "audit_channel_id" else "")
        before = await scene.settings()
        monkeypatch.setattr("cogs.admin_settings.chosen", lambda _: [str(foreign.id)])

        answer = await scene.choose(card, what)

        assert said(answer)[:2] == [
            f"“{foreign.id}” is not known as a channel or role of this server. Nothing was changed.",
            "Choose another one; right after the bot's start, try again in a minute.",
        ]
        assert await scene.settings() == before


async def test_a_deleted_channel_may_stay_among_the_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene_on(tmp_path) as scene:
        await scene.change(GuildField.CHANNELS, frozenset({123}))
        monkeypatch.setattr("cogs.admin_settings.chosen", lambda _: ["123", str(scene.on.channel.id)])

        card = await scene.opened()
        await scene.boss.select(card.response, [], custom_id=lists(card)[0]["custom_id"])

        assert (await scene.settings()).channel_ids == {123, scene.on.channel.id}


@pytest.mark.parametrize("forged", ["{0}:0", "0:{0}"])
async def test_a_page_of_the_audit_that_cannot_be_is_answered(tmp_path: Path, forged: str) -> None:
    async with scene_on(tmp_path) as scene:
        custom_id = f"gallop:audit:{forged.format(2**63)}:{opened_mark(scene.on.clock.now())}"

        assert await answer_to(scene, custom_id) == TOO_OLD


@pytest.mark.parametrize("forged", [f"gallop:list:grants:0:{2**63}:{{0}}", f"gallop:guild-jobs:{{0}}:{2**63}:all:0"])
async def test_a_button_of_a_list_that_cannot_be_is_answered(tmp_path: Path, forged: str) -> None:
    async with scene_on(tmp_path) as scene:
        assert await answer_to(scene, forged.format(opened_mark(scene.on.clock.now()))) == TOO_OLD


async def answer_to(scene: Scene, custom_id: str) -> str:
    """Press a button that somebody forged; return what is said beside it."""
    forged = plain(ui.ActionRow(ui.Button(label="Forged", custom_id=custom_id)))
    message = await scene.on.bot.get_channel(scene.on.channel.id).send(view=forged)
    return (await scene.boss.click(message, label="Forged")).followups[0].content
