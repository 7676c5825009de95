"""Settings: what is read, what is refused, and in which words."""

import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.config import AttachmentHost, Settings, load_settings
from bot.config_types import Credits
from bot.domain.errors import StartFailed
from bot.domain.pricing import PriceRow
from bot.domain.quota import Caps, Limits
from bot.domain.request import Resolution

ROOT = Path(__file__).parents[1]
FIELDS = Settings.model_fields


def given(**environment: str) -> Settings:
    """Load with this environment and no file."""
    os.environ.update(environment)
    return load_settings(env_file=None)


def refusal(**environment: str) -> str:
    with pytest.raises(StartFailed) as caught:
        given(**environment)
    assert caught.value.exit_code == 2
    return caught.value.sentence


def test_nothing_set_is_a_complete_set_of_settings() -> None:
    settings = load_settings(env_file=None)

    assert settings.limits() == Limits(5_000_000, 50_000_000, 100_000_000, 200_000_000)
    assert settings.caps() == Caps(per_user=3, per_guild=10, per_gateway=8)
    assert settings.database_path == Path("data/gallop.db")
    assert settings.guild_ids == frozenset()
    assert settings.watch_first_s is None
    assert settings.secrets() == ()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("GUILD_IDS", "*", None),
        ("GUILD_IDS", "12, 34,", frozenset({12, 34})),
        ("OPERATOR_IDS", "80351110224678912", frozenset({80351110224678912})),
        ("QUOTA_USER_DAY_USD", "0.000001", Decimal("0.000001")),
        ("QUOTA_USER_DAY_USD", "0", Decimal(0)),
        ("QUOTA_USER_DAY_USD", "Unlimited", None),
        ("HIAPI_720P_USD_PER_S", "0.15", Decimal("0.15")),
        ("PIXELDOJO_CREDITS_1080P", "20", Credits(flat=Decimal(20))),
        ("PIXELDOJO_CREDITS_1080P", "4/s", Credits(second=Decimal(4))),
        ("PIXELDOJO_CREDITS_1080P", "20, 4 / s", Credits(flat=Decimal(20), second=Decimal(4))),
        ("PUBLIC_URL", "https://gallop.example.org/", "https://gallop.example.org"),
        ("SHORTAPI_URL", "http://127.0.0.1:9000/api", "http://127.0.0.1:9000/api"),
        ("HIAPI_URL", "http://[::1]:9000", "http://[::1]:9000"),
        ("PIXELDOJO_URL", "http://localhost:1", "http://localhost:1"),
        ("DISCORD_API_URL", "http://127.0.0.1:9000/api/v10", "http://127.0.0.1:9000/api/v10"),
        ("ATTACHMENT_HOST", "discord", AttachmentHost.DISCORD),
        ("WATCH_FIRST_S", "0.05", 0.05),
        ("HTTP_PORT", "0", 0),
        ("STAGING_CHANNEL_ID", "197038439483310087", 197038439483310087),
    ],
)
def test_a_right_value_is_taken(name: str, text: str, value: object) -> None:
    assert getattr(given(**{name: text}), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("GUILD_IDS", "12,abc", "must be Discord ids, digits only, separated by commas, or `*` for every guild"),
        ("GUILD_IDS", "*,12", "must be Discord ids, digits only, separated by commas, or `*` for every guild"),
        ("GUILD_IDS", "9999999999999999999", "must be less than 9223372036854775808"),
        ("OPERATOR_IDS", "*", "must be Discord ids, digits only, separated by commas"),
        ("OPERATOR_IDS", "0", "must be Discord ids, digits only, separated by commas"),
        *(
            (
                "QUOTA_BOT_MONTH_USD",
                text,
                "must be a plain decimal number, at most 6 decimals, no sign and no currency, or `unlimited`",
            )
            for text in ("-1", "NaN", "Infinity", "1e3", "$5", "1,000", "0.0000001", "1234567890", "5 dollars", "٥")
        ),
        ("HIAPI_720P_USD_PER_S", "0", "must be more than 0; leave it empty while the price is unknown"),
        (
            "PIXELDOJO_CREDIT_USD",
            "unlimited",
            "must be a plain decimal number, at most 6 decimals, no sign and no currency",
        ),
        *(
            (
                "PIXELDOJO_CREDITS_720P",
                text,
                "must be credits per video (`20`), per second (`4/s`), or both, of which the dearer counts",
            )
            for text in ("4/m", "/s", "0", "4/", "20;4/s", "-4/s")
        ),
        ("SHORTAPI_URL", "http://api.shortapi.ai", "must start with https://"),
        ("SHORTAPI_URL", "api.shortapi.ai", "must be a whole address that starts with https://"),
        ("HIAPI_URL", "https://", "must be a whole address that starts with https://"),
        ("HIAPI_URL", "https://h:port", "must be a whole address that starts with https://"),
        ("HIAPI_URL", "https://[::1", "must be a whole address that starts with https://"),
        ("PIXELDOJO_URL", "ftp://localhost", "must be a whole address that starts with https://"),
        ("PIXELDOJO_URL", "http://127.0.0.1.example.org", "must start with https://"),
        ("PUBLIC_URL", "https://name:word@example.org", "must hold no user name, query or fragment"),
        ("PUBLIC_URL", "https://example.org?a=b", "must hold no user name, query or fragment"),
        ("DISCORD_API_URL", "https://discord.com/api", "must end with the version Gallop speaks, /v10"),
        ("DATABASE_URL", "postgres://localhost/gallop", "must name an SQLite file"),
        ("DATABASE_URL", "sqlite://gallop.db", "must name an SQLite file"),
        ("DATABASE_URL", "sqlite:///", "must name an SQLite file"),
        ("DATABASE_URL", "sqlite:///:memory:", "must name an SQLite file"),
        ("DATABASE_URL", "sqlite:///data/", "must name an SQLite file"),
        ("ATTACHMENT_HOST", "s3", "must be 'discord' or 'web'"),
        ("STAGING_CHANNEL_ID", "general", "must be a valid integer"),
        ("HTTP_PORT", "65536", "must be less than or equal to 65535"),
        ("HTTP_HOST", "http://localhost", "must be an address or a host name alone, without http:// and port"),
        ("UPLOAD_MIB", "0", "must be greater than or equal to 1"),
        ("UPLOAD_MIB", "20 MiB", "must be a valid integer"),
        ("JOBS_PER_USER", "0", "must be greater than or equal to 1"),
        ("HIAPI_REQUESTS_PER_MIN", "-1", "must be greater than or equal to 1"),
        ("WATCH_FIRST_S", "0", "must be greater than 0"),
        ("WATCH_INTERVAL_S", "nan", "must be a finite number"),
        ("TASK_LIFE_S", "a day", "must be a valid number"),
        ("DISCORD_TOKEN", "two words", "must be one word of plain letters, digits and signs"),
        ("DISCORD_TOKEN", '"quoted"', "must be one word of plain letters, digits and signs"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_name_fault_and_example(name: str, text: str, what: str) -> None:
    sentence = refusal(**{name: text})

    assert sentence.startswith(f"{name} {what}")
    assert "\n" not in sentence
    example = re.search(rf", for example {name}=(.+)$", sentence)
    assert example is not None
    given(**{name: example[1]})


def test_pictures_hosted_on_the_bot_need_a_public_address() -> None:
    assert refusal(ATTACHMENT_HOST="web") == (
        "ATTACHMENT_HOST is `web`, which needs PUBLIC_URL, for example PUBLIC_URL=https://gallop.example.org"
    )
    assert given(ATTACHMENT_HOST="web", PUBLIC_URL="http://127.0.0.1:8080").attachment_host is AttachmentHost.WEB


def test_the_longest_watch_interval_is_not_below_the_shortest() -> None:
    assert refusal(WATCH_INTERVAL_S="20") == (
        "WATCH_INTERVAL_MAX_S must not be below WATCH_INTERVAL_S, for example WATCH_INTERVAL_MAX_S=15"
    )


def test_several_wrong_settings_are_one_line_each() -> None:
    lines = refusal(HTTP_PORT="x", UPLOAD_MIB="0", GUILD_IDS="a,b").splitlines()

    assert [line.split()[0] for line in lines] == ["GUILD_IDS", "HTTP_PORT", "UPLOAD_MIB"]


def test_a_wrong_secret_is_not_repeated() -> None:
    with pytest.raises(StartFailed) as caught:
        given(DISCORD_TOKEN="my secret token", SHORTAPI_KEY="'ak-secret'")

    assert "secret" not in f"{caught.value.sentence} {caught.value.__cause__}"


SECRETS = {name: f"planted-{name}" for name in ("discord_token", "shortapi_key", "hiapi_key", "hiapi_signing_key")}


def test_secrets_are_masked_wherever_settings_are_shown() -> None:
    settings = load_settings(env_file=None, **SECRETS)

    assert "planted" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert set(settings.secrets()) == set(SECRETS.values())


def test_every_key_and_token_is_a_secret() -> None:
    named = {name for name in FIELDS if name.endswith(("_key", "_token"))}

    assert named == {name for name, field in FIELDS.items() if SecretStr.__name__ in str(field.annotation)}


def test_the_token_is_handed_out_or_its_absence_is_one_sentence() -> None:
    assert given(DISCORD_TOKEN="abc").bot_token == "abc"
    with pytest.raises(StartFailed, match=r"^DISCORD_TOKEN is not set: .+ for example DISCORD_TOKEN=\S+$"):
        _ = load_settings(env_file=None, discord_token=None).bot_token


def test_prices_exist_only_where_they_were_set() -> None:
    settings = given(HIAPI_720P_USD_PER_S="0.15")

    assert settings.hiapi_prices() == {Resolution.P720: PriceRow(second_microusd=150_000)}
    assert settings.pixeldojo_prices() == {}


def test_pixeldojo_costs_the_dearer_reading_until_the_operator_knows() -> None:
    row = given(PIXELDOJO_CREDIT_USD="0.05").pixeldojo_prices()[Resolution.P720]

    assert [row.price_microusd(duration_s) for duration_s in (3, 5, 15)] == [1_000_000, 1_000_000, 3_000_000]


def test_an_empty_value_counts_as_not_given() -> None:
    assert given(HTTP_PORT="", PIXELDOJO_CREDITS_720P="", PUBLIC_URL="") == load_settings(env_file=None)


def test_names_are_read_in_any_case_and_foreign_ones_are_ignored() -> None:
    assert given(http_port="81", HTTP_PORTS="x", GALLOP="y").http_port == 81


def test_overrides_win_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("HTTP_PORT=81\nUPLOAD_MIB=8\nJOBS_PER_USER=1\nSOMETHING_ELSE=1\n", encoding="utf-8")
    os.environ.update(HTTP_PORT="82", UPLOAD_MIB="9")

    settings = load_settings(env_file, http_port=83)

    assert (settings.http_port, settings.upload_mib, settings.jobs_per_user) == (83, 9, 1)


def test_a_missing_file_is_no_error_and_an_unreadable_one_is_one_sentence(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "absent") == load_settings(env_file=None)
    broken = tmp_path / ".env"
    broken.write_bytes(b"HTTP_PORT=\xff\xfe")
    with pytest.raises(StartFailed, match="cannot be read: it must be a text file in UTF-8"):
        load_settings(broken)


def described_in_example() -> list[tuple[str, str, str]]:
    """Return name, value and comment of each setting in `.env.example`, in order."""
    blocks = (ROOT / ".env.example").read_text(encoding="utf-8").strip().split("\n\n")[1:]
    entries = []
    for block in blocks:
        *comment, assignment = block.splitlines()
        name, _, value = assignment.removeprefix("#").partition("=")
        entries.append((name, value, " ".join(line.removeprefix("# ") for line in comment)))
    return entries


def test_the_example_file_lists_every_setting_with_its_description() -> None:
    described = [(name.upper(), field.description) for name, field in FIELDS.items()]

    assert [(name, comment) for name, _, comment in described_in_example()] == described


def test_the_values_of_the_example_file_are_the_defaults() -> None:
    assert given(**{name: value for name, value, _ in described_in_example()}) == Settings.model_construct()
    empty = {name.lower() for name, value, _ in described_in_example() if not value}
    assert empty == {name for name, field in FIELDS.items() if field.default in (None, frozenset())}


@pytest.mark.parametrize(
    ("ending", "unit"),
    [("_s", "seconds?"), ("_usd", "dollars"), ("_mib", "mib"), ("_days", "days"), ("_per_min", "requests per minute")],
)
def test_a_description_begins_with_its_unit(ending: str, unit: str) -> None:
    descriptions: list[Any] = [field.description for name, field in FIELDS.items() if name.endswith(ending)]

    assert descriptions
    assert all(re.match(rf"{unit}\b|dollars", text, re.IGNORECASE) for text in descriptions)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("QUOTA_USER_DAY=1", "QUOTA_USER_DAY in {file} is no setting: did you mean QUOTA_USER_DAY_USD?"),
        ("GUILD_ID=5", "GUILD_ID in {file} is no setting: did you mean GUILD_IDS?"),
        ("not a setting at all !", "{file} line 1 cannot be read: write NAME=value there"),
    ],
)
def test_a_line_of_the_file_that_sets_nothing_is_not_passed_over(tmp_path, line, words):
    file = tmp_path / ".env"
    file.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(StartFailed) as caught:
        load_settings(file)

    assert str(caught.value) == words.format(file=file)


def test_other_programs_lines_in_the_file_are_left_alone(tmp_path):
    file = tmp_path / ".env"
    file.write_text("COMPOSE_PROJECT_NAME=gallop\nexport LANG=C\n", encoding="utf-8")

    assert load_settings(file).retention_days == 30
