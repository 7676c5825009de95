"""A wrong setting ends the process with exit code 2 and one sentence: the setting, what is wrong, and an example."""

from pathlib import Path

import pytest

from bot.sandbox.discord import SandboxDiscord
from tests.scenarios.process import Ended, gallop

pytestmark = pytest.mark.wire

NOBODY_LISTENS = "http://127.0.0.1:9/api/v10"
SECRET = "a-secret-that-must-not-be-shown"
SETTINGS = {"DISCORD_TOKEN": SECRET, "DISCORD_API_URL": NOBODY_LISTENS, "HTTP_PORT": "0"}


async def refused(folder: Path, **changes: str) -> str:
    """Run the bot with one thing wrong; return its only sentence."""
    ended = await gallop("run", {**SETTINGS, **changes}, folder)
    _assert_clean(ended)
    (sentence,) = ended.sentences
    return sentence


def _assert_clean(ended: Ended) -> None:
    assert ended.exit_code == 2
    assert "Traceback" not in ended.errors
    assert "Unclosed" not in ended.errors
    assert " ERROR " not in ended.errors
    assert " WARNING " not in ended.errors
    assert SECRET not in ended.errors


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"DISCORD_TOKEN": ""},
            "DISCORD_TOKEN is not set: write the bot's token into .env, "
            "for example DISCORD_TOKEN=the-token-from-the-bot-page",
        ),
        (
            {"QUOTA_USER_DAY_USD": "five dollars"},
            "QUOTA_USER_DAY_USD must be a plain decimal number, at most 6 decimals, no sign and no currency, "
            "or `unlimited`, for example QUOTA_USER_DAY_USD=5",
        ),
        (
            {"GUILD_IDS": "my server"},
            "GUILD_IDS must be Discord ids, digits only, separated by commas, or `*` for every guild, "
            "for example GUILD_IDS=197038439483310086",
        ),
        (
            {"DATABASE_URL": "sqlite:///occupied/gallop.db"},
            "occupied/gallop.db.lock cannot be written (File exists): check the rights of its folder and "
            "DATABASE_URL, for example DATABASE_URL=sqlite:///data/gallop.db",
        ),
        (
            {"DATA_DIR": "occupied/data"},
            "DATA_DIR=occupied/data cannot be written (Not a directory): name a folder for the bot's files, "
            "for example DATA_DIR=data",
        ),
        (
            {},
            f"Discord could not be reached at {NOBODY_LISTENS} (ClientConnectorError): check the network and "
            "DISCORD_API_URL, for example DISCORD_API_URL=https://discord.com/api/v10",
        ),
    ],
    ids=["no token", "quota", "guild ids", "database", "data folder", "discord unreachable"],
)
async def test_a_wrong_setting_is_one_sentence(tmp_path: Path, changes: dict[str, str], sentence: str) -> None:
    (tmp_path / "occupied").write_text("a file where a folder is wanted")

    assert await refused(tmp_path, **changes) == sentence


async def test_a_token_that_discord_refuses_is_one_sentence_without_the_token(tmp_path: Path) -> None:
    async with SandboxDiscord.start() as discord:
        sentence = await refused(tmp_path, DISCORD_API_URL=discord.api_url)

    assert sentence == (
        "DISCORD_TOKEN was refused by Discord: copy it again from the application's page (Bot, Reset Token), "
        "for example DISCORD_TOKEN=the-token-from-the-bot-page"
    )


async def test_settings_are_read_from_a_file_beside_the_bot(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HTTP_HOST=http://localhost\n", encoding="utf-8")

    assert (await refused(tmp_path)).startswith("HTTP_HOST must be an address or a host name alone")


async def test_several_wrong_settings_are_one_sentence_each(tmp_path: Path) -> None:
    ended = await gallop("run", {**SETTINGS, "HTTP_PORT": "http", "UPLOAD_MIB": "a lot"}, tmp_path)

    _assert_clean(ended)
    assert [sentence.split()[0] for sentence in ended.sentences] == ["HTTP_PORT", "UPLOAD_MIB"]


async def test_pausing_where_no_bot_has_its_database_is_refused_and_makes_none(tmp_path: Path) -> None:
    ended = await gallop("pause", {}, tmp_path)

    assert ended.exit_code == 2
    missing = tmp_path / "data" / "gallop.db"
    assert ended.sentences == [
        f"There is no database at {missing}: run this in the bot's folder, or set DATABASE_URL, for example "
        "DATABASE_URL=sqlite:////data/gallop.db"
    ]
    assert not (tmp_path / "data").exists()


async def test_what_the_bot_writes_is_readable_by_its_own_user_alone(tmp_path: Path) -> None:
    database = tmp_path / "gallop.db"
    paused = await gallop("pause", {"DATABASE_URL": f"sqlite:///{database}"}, tmp_path)

    assert paused.exit_code == 0
    assert database.stat().st_mode & 0o077 == 0
