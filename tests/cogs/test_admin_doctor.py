"""`/video-admin doctor` on a server with real permission overwrites, deleted roles and channels, and rules."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord

from bot.domain.guild import Act, GuildField
from bot.domain.rules import Rule, Scope
from tests.cogs.stage import Stage, shown, stage

MEND = "-# Allow that for the bot's role in the channel: Edit Channel, Permissions. Until then `/video` is refused."
GONE_ROLE, GONE_CHANNEL = 4_711, 4_712


@dataclass
class Scene:
    """The stage, and a manager."""

    on: Stage
    boss: Any

    async def lines(self) -> list[str]:
        result = await self.boss.slash(self.on.channel, "video-admin doctor")
        assert result.ephemeral
        return shown(result).split("\n")

    async def set(self, field: GuildField, value: Any) -> None:
        await self.on.store.change_guild(field, value, act=self._act)

    async def rule(self, scope: Scope, subject_id: int = 0, **fields: Any) -> None:
        await self.on.store.set_rule(Rule(scope, subject_id, **fields), act=self._act)

    @property
    def _act(self) -> Act:
        return Act(self.on.guild.id, self.boss.id, self.on.clock.now())

    def channel(self, name: str, **denied: bool) -> Any:
        overwrites = {self.on.guild.default_role: discord.PermissionOverwrite(**denied)}
        return self.on.guild.create_text_channel(name, overwrites=overwrites)


@asynccontextmanager
async def doctor_scene(tmp_path: Path, **settings: Any) -> AsyncIterator[Scene]:
    async with stage(tmp_path, jobs_run=False, **settings) as on:
        role = on.guild.create_role("boss", permissions=discord.Permissions(manage_guild=True))
        yield Scene(on, on.guild.add_member(on.env.create_user("otto"), roles=[role]))


async def test_where_nothing_is_wrong_it_says_what_was_looked_at(tmp_path: Path) -> None:
    async with doctor_scene(tmp_path) as scene:
        assert await scene.lines() == [
            "**No faults found**",
            "✓ New videos are not paused.",
            "✓ Paid gateways (5 s, 720p): ShortAPI, HappyHorse 1.0 · $0.645; PixelDojo, HappyHorse 1.0 · $0.645; "
            "HiAPI, HappyHorse 1.1 · $0.75.",
            "✓ The bot can do all it needs in 1 channel.",
            "✓ No rule keeps everybody it is for from spending.",
            "✓ No audit channel is set; `/video-admin audit` shows every act.",
        ]


async def test_what_lacks_in_a_channel_is_named_in_discords_words(tmp_path: Path) -> None:
    async with doctor_scene(tmp_path) as scene:
        quiet = scene.channel("quiet", attach_files=False)
        mute = scene.channel("mute", send_messages=False, read_message_history=False)
        scene.channel("hidden", view_channel=False)

        lines = await scene.lines()

        assert lines[0] == "**2 faults found**"
        assert "✓ The bot can do all it needs in 1 channel. 1 channel that it cannot see left out." in lines
        where = lines.index(f"✗ The bot lacks Attach Files in <#{quiet.id}>.")
        assert lines[where + 1 : where + 3] == [
            f"✗ The bot lacks Send Messages and Read Message History in <#{mute.id}>.",
            MEND,
        ]


async def test_an_allowed_channel_that_the_bot_cannot_see_is_a_fault_and_others_are_not_looked_at(
    tmp_path: Path,
) -> None:
    async with doctor_scene(tmp_path) as scene:
        hidden = scene.channel("hidden", view_channel=False)
        scene.channel("quiet", attach_files=False)
        await scene.set(GuildField.CHANNELS, frozenset({hidden.id}))

        lines = await scene.lines()

        assert f"✗ The bot lacks View Channel in <#{hidden.id}>." in lines
        assert "Attach Files" not in "\n".join(lines)


async def test_threads_need_their_own_permission_where_there_are_some(tmp_path: Path) -> None:
    async with doctor_scene(tmp_path) as scene:
        without = scene.channel("without", send_messages_in_threads=False)
        holds = scene.channel("holds", send_messages_in_threads=False)
        scene.on.env.backend.create_thread(holds.id, "thread", scene.boss.id)
        await scene.on.env.settle()

        lines = await scene.lines()

        assert f"✗ The bot lacks Send Messages in Threads in <#{holds.id}>." in lines
        assert f"<#{without.id}>" not in "\n".join(lines)


async def test_forums_and_voice_channels_count_and_categories_do_not(tmp_path: Path) -> None:
    async with doctor_scene(tmp_path) as scene:
        scene.on.guild.create_forum_channel("forum")
        scene.on.guild.create_voice_channel("voice")
        scene.on.guild.create_category("category")

        assert "✓ The bot can do all it needs in 3 channels." in await scene.lines()


async def test_what_settings_name_and_discord_has_no_more_is_said(tmp_path: Path) -> None:
    async with doctor_scene(tmp_path) as scene:
        await scene.set(GuildField.CHANNELS, frozenset({scene.on.channel.id, GONE_CHANNEL}))
        await scene.set(GuildField.ROLES, frozenset({GONE_ROLE}))
        await scene.set(GuildField.AUDIT_CHANNEL, GONE_CHANNEL)
        await scene.rule(Scope.ROLE, GONE_ROLE, day_videos=3)
        await scene.rule(Scope.CHANNEL, GONE_CHANNEL, day_videos=3)
        await scene.rule(Scope.MEMBER, GONE_ROLE, day_videos=3)

        lines = await scene.lines()

        assert f"✗ 1 allowed channel was deleted: `{GONE_CHANNEL}`." in lines
        assert f"✗ 1 allowed role was deleted: `{GONE_ROLE}`. None is left, so nobody can make videos." in lines
        gone = f"role `{GONE_ROLE}` and channel `{GONE_CHANNEL}`"
        assert f"✗ There are rules for what was deleted: {gone}." in lines
        assert "✗ The audit channel was deleted." in lines


async def test_an_audit_channel_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    async with doctor_scene(tmp_path) as scene:
        mute = scene.channel("mute", send_messages=False, attach_files=False)
        await scene.set(GuildField.CHANNELS, frozenset({scene.on.channel.id}))
        await scene.set(GuildField.AUDIT_CHANNEL, mute.id)
        broken = await scene.lines()
        await scene.set(GuildField.AUDIT_CHANNEL, scene.on.channel.id)
        mended = await scene.lines()

        assert f"✗ The bot lacks Send Messages in the audit channel <#{mute.id}>." in broken
        assert mended[0] == "**No faults found**"
        assert mended[-1] == f"✓ The bot can write into the audit channel <#{scene.on.channel.id}>."


async def test_both_pauses_are_told_apart(tmp_path: Path) -> None:
    async with doctor_scene(tmp_path) as scene:
        await scene.set(GuildField.PAUSED, True)
        await scene.on.store.set_paused(True)

        lines = await scene.lines()

        assert lines[1:5] == [
            "✗ New videos are paused on this server.",
            "-# `/video-admin resume` ends that.",
            "✗ The operator has paused new videos everywhere.",
            "-# Only the operator can end that.",
        ]


async def test_a_server_that_is_not_served_has_no_paid_gateway(tmp_path: Path) -> None:
    async with doctor_scene(tmp_path, served=False) as scene:
        lines = await scene.lines()

        where = lines.index(
            "✗ No paid gateway is open here, only free previews. "
            "Not here: ShortAPI, HiAPI and PixelDojo · not open here."
        )
        assert lines[where + 1] == "-# The operator can change that."


async def test_gateways_that_rules_forbid_are_named_and_managers_can_allow_them(tmp_path: Path) -> None:
    async with doctor_scene(tmp_path) as scene:
        await scene.rule(Scope.POOL, gateways=frozenset({"hiapi"}))
        some = await scene.lines()
        await scene.rule(Scope.EVERYONE, gateways=frozenset({"shortapi"}))
        none = await scene.lines()

        assert (
            "✓ Paid gateways (5 s, 720p): HiAPI, HappyHorse 1.1 · $0.75. "
            "Not here: ShortAPI and PixelDojo · not allowed by the rules."
        ) in some
        assert "-# `/video-admin settings` allows gateways." in none
        assert "✗ The rules for everyone and this server's pool have no gateway in common." in none


async def test_rules_that_let_nobody_spend_are_named(tmp_path: Path) -> None:
    async with doctor_scene(tmp_path) as scene:
        await scene.rule(Scope.POOL, month_microusd=0)
        await scene.rule(Scope.CHANNEL, scene.on.channel.id, day_videos=0)

        lines = await scene.lines()

        assert "✗ The rule for this server's pool lets nobody make paid videos: $0.00 a month." in lines
        assert f"✗ The rule for <#{scene.on.channel.id}> lets nobody make paid videos: 0 videos a day." in lines
        assert "-# `/video-admin quota set` changes a rule, `quota clear` removes it." in lines


async def test_in_a_direct_message_there_is_no_server_to_look_at(tmp_path: Path) -> None:
    async with doctor_scene(tmp_path) as scene:
        result = await scene.on.env.create_user("ada").slash("video-admin doctor")

        assert shown(result).startswith("This works only on a server.")
