"""What Discord is sent when the commands are registered: it checks ranges, lengths and choices by this."""

from typing import Any

import pytest

from bot.adapters.discord.client import GallopBot
from bot.domain.request import RATIOS
from bot.presentation.unconfirmed import Patience
from cogs.video import VideoCog
from cogs.video_admin import VideoAdminCog

MANAGE_GUILD = 1 << 5
SUBCOMMAND = 1
COMMON = ["resolution", "ratio", "duration", "gateway", "private"]


@pytest.fixture
async def group() -> dict[str, Any]:
    bot = GallopBot()
    await bot.add_cog(VideoCog(bot, service=None, privacy=None, personal=None, library=None))
    [command] = bot.tree.get_commands()
    return command.to_dict(bot.tree)


@pytest.fixture
async def admin_group() -> dict[str, Any]:
    bot = GallopBot()
    await bot.add_cog(
        VideoAdminCog(
            bot,
            None,
            Patience(86_400),
            managers=None,
            guild_jobs=None,
            settings=None,
            doctor=None,
            reports=None,
            titles={},
        )
    )
    [command] = bot.tree.get_commands()
    return command.to_dict(bot.tree)


def commands(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every command of the group, those of the groups inside it too."""
    inside = [each for each in group["options"] if each["type"] != SUBCOMMAND]
    return [each for each in group["options"] if each["type"] == SUBCOMMAND] + [
        command for each in inside for command in each["options"]
    ]


def options(group: dict[str, Any], command: str) -> dict[str, dict[str, Any]]:
    [found] = [each for each in group["options"] if each["name"] == command]
    return {option["name"]: option for option in found["options"]}


def length(option: dict[str, Any]) -> int:
    """Count as Discord does: names, descriptions and choices' names and values, of the command and all inside it."""
    choices = sum(len(choice["name"]) + len(str(choice["value"])) for choice in option.get("choices") or [])
    inner = sum(length(each) for each in option.get("options") or [])
    return len(option["name"]) + len(option.get("description", "")) + choices + inner


async def test_one_group_holds_every_command(group: dict[str, Any]) -> None:
    assert group["name"] == "video"
    assert [command["name"] for command in group["options"]] == [
        "text", "image", "reference", "status", "cancel", "history", "show", "quota", "help", "privacy",
    ]  # fmt: skip
    assert [command["name"] for command in options(group, "privacy").values()] == ["export", "delete"]


async def test_the_operators_group_needs_manage_server_in_guilds_and_nothing_in_direct_messages(
    admin_group: dict[str, Any],
) -> None:
    assert admin_group["name"] == "video-admin"
    names = {command["name"] for command in commands(admin_group)}
    assert names >= {"unconfirmed", "jobs", "release", "refund", "deliver", "doctor"}
    assert admin_group["default_member_permissions"] == MANAGE_GUILD
    assert admin_group["contexts"] == [0, 1]
    assert admin_group["integration_types"] == [0]
    assert all(len(command["description"]) <= 100 for command in [admin_group, *commands(admin_group)])


async def test_the_managers_group_fits_discord_and_every_option_says_its_default(admin_group: dict[str, Any]) -> None:
    assert length(admin_group) <= 8_000
    assert len(admin_group["options"]) <= 25
    for command in commands(admin_group):
        assert len(command.get("options", [])) <= 25
        for option in command.get("options", []):
            assert len(option["description"]) <= 100
            assert ("Required." if option.get("required") else "Default: ") in option["description"]


async def test_the_group_serves_guilds_and_direct_messages_of_guild_installs(group: dict[str, Any]) -> None:
    assert group["contexts"] == [0, 1]
    assert group["integration_types"] == [0]


async def test_required_options_come_first_and_the_rest_have_defaults(group: dict[str, Any]) -> None:
    pictures = [f"image{n}" for n in range(2, 10)]

    assert list(options(group, "text")) == ["prompt", *COMMON]
    assert list(options(group, "image")) == ["image", "prompt", *COMMON]
    assert list(options(group, "reference")) == [
        "prompt", "image1", *pictures, *COMMON, "seed", "negative_prompt",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "required"), [("text", ["prompt"]), ("image", ["image", "prompt"]), ("reference", ["prompt", "image1"])]
)
async def test_only_what_has_no_default_is_required(group: dict[str, Any], command: str, required: list[str]) -> None:
    assert [name for name, option in options(group, command).items() if option.get("required")] == required


@pytest.mark.parametrize("command", ["text", "image", "reference"])
async def test_discord_itself_checks_ranges_lengths_and_choices(group: dict[str, Any], command: str) -> None:
    given = options(group, command)

    assert (given["prompt"]["min_length"], given["prompt"]["max_length"]) == (1, 6000)
    assert (given["duration"]["min_value"], given["duration"]["max_value"]) == (3, 15)
    assert [choice["value"] for choice in given["resolution"]["choices"]] == ["720p", "1080p"]
    assert [choice["value"] for choice in given["ratio"]["choices"]] == list(RATIOS)
    assert given["gateway"]["autocomplete"]
    assert not given["gateway"].get("choices")


async def test_seed_and_negative_prompt_have_their_ranges(group: dict[str, Any]) -> None:
    given = options(group, "reference")

    assert (given["seed"]["min_value"], given["seed"]["max_value"]) == (0, 2_147_483_647)
    assert (given["negative_prompt"]["min_length"], given["negative_prompt"]["max_length"]) == (1, 1000)


async def test_every_description_fits_and_says_the_default(group: dict[str, Any]) -> None:
    for command in commands(group):
        assert 1 <= len(command["description"]) <= 100
        for option in command.get("options", []):
            assert len(option["description"]) <= 100
            assert ("Required." if option.get("required") else "Default: ") in option["description"]


async def test_the_whole_command_fits_discord(group: dict[str, Any]) -> None:
    assert length(group) <= 8_000
    assert all(len(command.get("options", [])) <= 25 for command in group["options"])
