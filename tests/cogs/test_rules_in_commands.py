"""What a guild decided, as its members meet it: the words of each refusal, and the list of gateways."""

from pathlib import Path
from typing import Any

import discord
import pytest

from bot.domain.errors import StoreFailed
from bot.domain.guild import Act, GuildField
from bot.domain.job import JobState
from bot.domain.rules import Rule, Scope
from tests.cogs.stage import Stage, stage


def act(on: Stage) -> Act:
    return Act(on.guild.id, actor_id=99, at=on.clock.now())


async def set_rule(on: Stage, scope: Scope = Scope.EVERYONE, subject_id: int = 0, **fields: Any) -> None:
    await on.store.set_rule(Rule(scope, subject_id, **fields), act=act(on))


async def gateways(on: Stage, **filled: object) -> list[str]:
    choices = await on.member.autocomplete(on.channel, "video text", "gateway", "", **filled)
    return [choice["name"] for choice in choices]


OPTIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"resolutions": frozenset({"720p"})}, {"resolution": "1080p"},
     "The resolution 1080p is not possible here; this server's rules allow 720p. Nothing was held."),
    ({"duration_max_s": 6}, {"duration": 9},
     "9 s is not possible here; this server's rules allow 3 to 6 s. Nothing was held."),
    ({"duration_max_s": 4}, {},
     "5 s is not possible here; this server's rules allow 3 to 4 s. Nothing was held."),
    ({"ratios": frozenset({"1:1", "9:16"})}, {},
     "The ratio 16:9 is not possible here; this server's rules allow 9:16 or 1:1. Nothing was held."),
    ({"gateways": frozenset({"shortapi"})}, {"gateway": "hiapi"},
     "This server's rules do not allow HiAPI. Nothing was held.\n"
     "Choose another gateway; `gateway:animatic` makes a free preview."),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "asked", "words"), OPTIONS)
async def test_an_option_outside_the_rules_is_refused_with(
    tmp_path: Path, rule: dict[str, Any], asked: dict[str, Any], words: str
) -> None:
    async with stage(tmp_path) as on:
        await set_rule(on, **rule)

        assert await on.say("text", prompt="A paper boat", **asked) == words


async def test_rules_that_contradict_are_called_so(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await set_rule(on, resolutions=frozenset({"720p"}))
        await set_rule(on, Scope.CHANNEL, on.channel.id, resolutions=frozenset({"1080p"}))

        assert await on.say("text", prompt="A paper boat") == (
            "This server's rules leave no resolution that everything here allows. Nothing was held.\n"
            "Tell its managers: `/video-admin quota show` marks what contradicts."
        )


async def test_a_thread_of_an_allowed_channel_is_allowed(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        other = on.guild.create_text_channel("videos")
        await on.store.change_guild(GuildField.CHANNELS, frozenset({other.id}), act=act(on))
        await on.bot.get_channel(other.id).create_thread(name="t", type=discord.ChannelType.public_thread)

        refused = await on.say("text", prompt="A paper boat")
        inside = await on.member.slash(other.threads[0], "video text", prompt="A paper boat")

        assert refused == f"This server allows videos only in other channels. Nothing was held.\nUse <#{other.id}>."
        assert inside.response.content.startswith("$0.645 on hold")


async def test_a_role_that_is_given_counts_at_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        role = on.guild.create_role("Creators")
        await on.store.change_guild(GuildField.ROLES, frozenset({role.id}), act=act(on))
        creator = on.guild.add_member(on.env.create_user("noa"), roles=[role])

        assert (await on.say("text", prompt="A paper boat")).endswith(f"You need <@&{role.id}>.")
        answer = await creator.slash(on.channel, "video text", prompt="A paper boat")
        assert answer.response.content.startswith("$0.645 on hold")


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (GuildField.PAUSED, "This server's managers have paused new videos. Nothing was held.\n"
         "Those already under way go on. Ask again later."),
        (None, "This server's managers have blocked you from making videos here. Nothing was held.\nAsk them why."),
    ],
)  # fmt: skip
async def test_a_pause_and_a_block_are_said(tmp_path: Path, field: GuildField | None, words: str) -> None:
    async with stage(tmp_path) as on:
        if field:
            await on.store.change_guild(field, True, act=act(on))
        else:
            await on.store.block(user_id=on.member.id, until=None, reason="spam", act=act(on))

        assert await on.say("text", prompt="A paper boat") == words


async def test_a_blocked_word_is_refused_without_being_named(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.store.add_word("boat", is_pattern=False, act=act(on))

        assert await on.say("text", prompt="A paper boat") == (
            "The prompt has something that this server forbids. Nothing was held.\n"
            "Say it in other words, or ask a manager."
        )


async def test_the_list_of_gateways_shows_the_rules_and_the_guilds_defaults(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await set_rule(on, gateways=frozenset({"hiapi"}), duration_max_s=10)
        await on.store.change_guild(GuildField.DURATION, 10, act=act(on))

        assert await gateways(on) == [
            "auto · the cheapest that can do it: HiAPI, $1.50",
            "HiAPI, HappyHorse 1.1 · $1.50",
            "Animatic · free preview",
            "ShortAPI · not allowed on this server",
            "PixelDojo · needs reference pictures",
        ]
        assert await gateways(on, duration=12) == [
            "auto · no gateway can do this",
            "HiAPI · 12 s is not allowed on this server",
            "Animatic · 12 s is not allowed on this server",
            "ShortAPI · 12 s is not allowed on this server",
            "PixelDojo · 12 s is not allowed on this server",
        ]
        assert "ShortAPI, HappyHorse 1.0: not allowed on this server" in await on.say("help")


async def test_a_list_that_cannot_be_read_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(tmp_path) as on:

        async def fail(_spender: object) -> None:
            raise StoreFailed

        monkeypatch.setattr(on.store, "rules_for", fail)

        assert await gateways(on) == []
        assert "gateways not listed" in caplog.text


async def test_the_guilds_defaults_make_the_video(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        for field, value in {"RESOLUTION": "1080p", "DURATION": 3, "RATIO": "1:1"}.items():
            await on.store.change_guild(GuildField[field], value, act=act(on))

        await on.say("text", prompt="A paper boat")

        job = await on.newest_job()
        request = job.request
        assert (request.resolution, request.duration_s, request.ratio) == ("1080p", 3, "1:1")
        assert job.state is JobState.HELD
