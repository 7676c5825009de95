"""Settings: every one with its unit, default and reason, read once from the environment and from `.env`."""

from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot.config_types import (
    Address,
    AttachmentHost,
    Count,
    CreditPrice,
    Credits,
    DatabaseUrl,
    DiscordAddress,
    GuildIds,
    HostName,
    Id,
    Ids,
    Mebibytes,
    Port,
    Price,
    Quota,
    Seconds,
    Secret,
)
from bot.domain.errors import StartFailed
from bot.domain.money import microusd_from_usd
from bot.domain.pricing import PriceRow
from bot.domain.quota import Caps, Limits
from bot.domain.request import Resolution
from bot.domain.watch_times import WatchTimes

__all__ = ["AttachmentHost", "Settings", "load_settings"]


class Settings(BaseSettings):
    """Everything an operator can set. The environment wins over `.env`; an empty value counts as not given."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        env_file_encoding="utf-8",
        enable_decoding=False,
        hide_input_in_errors=True,
        str_strip_whitespace=True,
    )

    discord_token: Secret | None = Field(
        None,
        description="The bot's token, from the Bot page of its Discord application. `gallop run` needs it.",
        examples=["the-token-from-the-bot-page"],
    )
    discord_api_url: DiscordAddress = Field(
        "https://discord.com/api/v10",
        description="Root of Discord's REST interface with its version; another one is for proxies and the sandbox."
        " The gateway socket is found through it.",
    )
    operator_ids: Ids = Field(
        frozenset(),
        description="Discord user ids, separated by commas: whose money it is. Empty: the application's owner or team.",
        examples=["80351110224678912,80351110224678913"],
    )
    operator_channel_id: Id | None = Field(
        None,
        description="Discord channel id where operators are told what needs them. Empty: each one's direct messages.",
        examples=["197038439483310088"],
    )
    loss_notice_usd: Quota = Field(
        Decimal(10),
        description="Dollars, or `unlimited` for never: operators are told when gateways have billed at least so much "
        "more in a month (UTC) than people paid.",
    )
    guild_ids: GuildIds = Field(
        frozenset(),
        description="Discord guild ids, separated by commas: who may use paid gateways. Empty: guilds that an operator "
        "owns. `*`, every guild, must be written out, because everybody there spends the operator's money.",
        examples=["197038439483310086"],
    )
    database_url: DatabaseUrl = Field(
        "sqlite:///data/gallop.db",
        description="The SQLite file with jobs and ledger: sqlite:///relative/path or sqlite:////absolute/path. It "
        "must lie on a local disk, because network file systems do not lock reliably.",
    )
    data_dir: Path = Field(Path("data"), description="Directory for pictures taken in and videos bought.")
    shortapi_key: Secret | None = Field(
        None, description="ShortAPI's key. Empty: ShortAPI is not used.", examples=["ak-and-the-rest"]
    )
    shortapi_url: Address = Field(
        "https://api.shortapi.ai", description="ShortAPI's address, with or without its path prefix."
    )
    shortapi_720p_usd_per_s: Price = Field(
        Decimal("0.129"),
        description="Dollars per second of 720p video at ShortAPI, as its page said in November 2026. If it ever bills "
        "more, correct it here.",
    )
    shortapi_1080p_usd_per_s: Price = Field(
        Decimal("0.229"), description="Dollars per second of 1080p video at ShortAPI, from the same page."
    )
    hiapi_key: Secret | None = Field(
        None, description="HiAPI's key. Empty: HiAPI is not used.", examples=["sk-and-the-rest"]
    )
    hiapi_url: Address = Field("https://api.hiapi.ai", description="HiAPI's address, with or without its path prefix.")
    hiapi_signing_key: Secret | None = Field(
        None,
        description="HiAPI's key for signed callbacks, as set in its console. Empty: their unguessable address alone "
        "vouches for them.",
        examples=["the-signing-key"],
    )
    hiapi_720p_usd_per_s: Price = Field(
        None,
        description="Dollars per second of 720p video at HiAPI, which publishes none. Empty: not for sale there.",
        examples=["0.15"],
    )
    hiapi_1080p_usd_per_s: Price = Field(
        None,
        description="Dollars per second of 1080p video at HiAPI. Empty: not for sale there.",
        examples=["0.25"],
    )
    pixeldojo_key: Secret | None = Field(
        None, description="PixelDojo's key. Empty: PixelDojo is not used.", examples=["pd_and_the_rest"]
    )
    pixeldojo_url: Address = Field(
        "https://pixeldojo.ai/api/v1", description="PixelDojo's address, with or without its path prefix."
    )
    pixeldojo_credit_usd: Price = Field(
        None,
        description="Dollars per PixelDojo credit, which depend on the pack bought. Empty: PixelDojo has no price.",
        examples=["0.05"],
    )
    pixeldojo_credits_720p: CreditPrice = Field(
        Credits(Decimal(20), Decimal(4)),
        description="Credits for a 720p video: `20` flat, `4/s` per second, or both, of which the dearer counts. "
        "PixelDojo's page says 20 credits and not for how long, hence both.",
        examples=["4/s"],
    )
    pixeldojo_credits_1080p: CreditPrice = Field(
        None,
        description="Credits for a 1080p video, in the same form. Empty: not for sale there.",
        examples=["8/s"],
    )
    public_url: Address | None = Field(
        None,
        description="Address under which the internet reaches the bot's own web server: gateways then call back when a "
        "video is done, and large videos get a link. Empty: it is not reached.",
        examples=["https://gallop.example.org"],
    )
    http_host: HostName = Field(
        "127.0.0.1",
        description="Address the bot's web server listens on: this machine alone, so that nothing opens by mistake.",
        examples=["0.0.0.0"],  # noqa: S104 - an example of what to type
    )
    http_port: Port = Field(8080, description="Port the web server listens on; 0 takes any free one.")
    attachment_host: AttachmentHost = Field(
        AttachmentHost.DISCORD,
        description="Where gateways fetch the pictures: `discord` (links of a Discord message, nothing to set up) or "
        "`web` (this bot's own server; needs PUBLIC_URL).",
    )
    staging_channel_id: Id | None = Field(
        None,
        description="Discord channel id for the messages whose pictures the gateways fetch. Empty: the public card.",
        examples=["197038439483310087"],
    )
    upload_mib: Mebibytes = Field(
        20,
        description="MiB that Discord takes per file without boosts. Its documented default since September 2026; it "
        "moved three times in three years.",
    )
    retention_days: Count = Field(
        30,
        description="Days for which prompts, pictures and original videos are kept, for `/video history` and `show`.",
    )
    quota_user_day_usd: Quota = Field(
        Decimal(5), description="Dollars, or `unlimited`: what a person may spend in a day (UTC) over the whole bot."
    )
    quota_user_month_usd: Quota = Field(
        Decimal(50), description="Dollars, or `unlimited`: what a person may spend in a month (UTC) over the whole bot."
    )
    quota_guild_month_usd: Quota = Field(
        Decimal(100), description="Dollars, or `unlimited`: what a guild's members may spend together in a month (UTC)."
    )
    quota_bot_month_usd: Quota = Field(
        Decimal(200),
        description="Dollars, or `unlimited`: what gateways may bill in a month (UTC), open holds included.",
    )
    jobs_per_user: Count = Field(3, description="Jobs of one person in flight at once; further ones wait in line.")
    jobs_per_guild: Count = Field(10, description="Jobs of one guild in flight at once; further ones wait in line.")
    jobs_per_gateway: Count = Field(8, description="Jobs at one gateway at once, below the 10 that HiAPI documents.")
    shortapi_requests_per_min: Count = Field(
        60, description="Requests per minute to ShortAPI, which publishes no limit."
    )
    hiapi_requests_per_min: Count = Field(45, description="Requests per minute to HiAPI, below its documented limit.")
    pixeldojo_requests_per_min: Count = Field(
        8, description="Requests per minute to PixelDojo, whose sources speak of 10."
    )
    watch_first_s: Seconds | None = Field(
        None,
        description="Seconds from submission to the first status read. Empty: 20, until the bot's own history of such "
        "jobs knows better; when set, it is obeyed.",
        examples=["20"],
    )
    watch_interval_s: Seconds = Field(5.0, description="Seconds between the first status reads of a job.")
    watch_interval_max_s: Seconds = Field(15.0, description="Seconds to which the time between status reads grows.")
    slow_after_s: Seconds = Field(
        300.0, description="Seconds after which the card says that a job is slower than usual."
    )
    task_life_s: Seconds = Field(
        86400.0,
        description="Seconds after which a job without a verdict is lost: gateways forget jobs after a day, though "
        "HiAPI keeps files for seven.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.attachment_host is AttachmentHost.WEB and self.public_url is None:
            raise ValueError(
                "ATTACHMENT_HOST is `web`, which needs PUBLIC_URL, for example PUBLIC_URL=https://gallop.example.org"
            )
        if self.watch_interval_max_s < self.watch_interval_s:
            raise ValueError(
                "WATCH_INTERVAL_MAX_S must not be below WATCH_INTERVAL_S, for example WATCH_INTERVAL_MAX_S=15"
            )
        return self

    @property
    def database_path(self) -> Path:
        return Path(self.database_url.removeprefix("sqlite:///"))

    @property
    def bot_token(self) -> str:
        """The token in clear.

        Raises:
            StartFailed: none is set.
        """
        if self.discord_token is None:
            example = "DISCORD_TOKEN=the-token-from-the-bot-page"
            raise StartFailed(f"DISCORD_TOKEN is not set: write the bot's token into .env, for example {example}")
        return self.discord_token.get_secret_value()

    def limits(self) -> Limits:
        return Limits(
            user_day_microusd=_limit(self.quota_user_day_usd),
            user_month_microusd=_limit(self.quota_user_month_usd),
            guild_month_microusd=_limit(self.quota_guild_month_usd),
            bot_month_microusd=_limit(self.quota_bot_month_usd),
        )

    @property
    def loss_notice_microusd(self) -> int | None:
        return _limit(self.loss_notice_usd)

    def caps(self) -> Caps:
        return Caps(per_user=self.jobs_per_user, per_guild=self.jobs_per_guild, per_gateway=self.jobs_per_gateway)

    def watch_times(self) -> WatchTimes:
        return WatchTimes(
            first_s=self.watch_first_s,
            interval_s=self.watch_interval_s,
            interval_max_s=self.watch_interval_max_s,
            slow_after_s=self.slow_after_s,
            task_life_s=self.task_life_s,
        )

    def shortapi_prices(self) -> Mapping[Resolution, PriceRow]:
        """The price rows of ShortAPI."""
        return _rows_per_s(self.shortapi_720p_usd_per_s, self.shortapi_1080p_usd_per_s)

    def hiapi_prices(self) -> Mapping[Resolution, PriceRow]:
        """The price rows of HiAPI; a resolution without a price has none."""
        return _rows_per_s(self.hiapi_720p_usd_per_s, self.hiapi_1080p_usd_per_s)

    def pixeldojo_prices(self) -> Mapping[Resolution, PriceRow]:
        """The price rows of PixelDojo; a resolution without credits has none, and without a credit's price none has."""
        usd = self.pixeldojo_credit_usd
        prices = {Resolution.P720: self.pixeldojo_credits_720p, Resolution.P1080: self.pixeldojo_credits_1080p}
        return {name: credits.price_row(usd) for name, credits in prices.items() if credits and usd}

    def secrets(self) -> tuple[str, ...]:
        """Every secret in clear, for the log to mask."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return tuple(value.get_secret_value() for value in values if isinstance(value, SecretStr))


def load_settings(env_file: str | Path | None = ".env", **overrides: Any) -> Settings:
    """Read the settings; `overrides` win over the environment, which wins over the file. A missing file is no error.

    Raises:
        StartFailed: one line for each wrong setting, without the values given.
    """
    try:
        if env_file is not None and Path(env_file).exists():
            _check_names(Path(env_file))
        return Settings(**{"_env_file": env_file, **overrides})
    except ValidationError as error:
        raise StartFailed("\n".join(dict.fromkeys(_sentence(fault) for fault in error.errors()))) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StartFailed(f"{env_file} cannot be read: it must be a text file in UTF-8, readable by the bot") from error


def _check_names(env_file: Path) -> None:
    """Refuse lines that cannot be read, and names that are nearly a setting's: a misspelt quota would be no quota.

    Raises:
        StartFailed: one line for each.
    """
    known = {name.upper() for name in Settings.model_fields}
    faults = []
    with env_file.open(encoding="utf-8") as stream:
        for binding in parse_stream(stream):
            name = (binding.key or "").upper()
            if binding.error:
                faults.append(f"{env_file} line {binding.original.line} cannot be read: write NAME=value there")
            elif name and name not in known and (meant := get_close_matches(name, known, n=1, cutoff=0.85)):
                faults.append(f"{name} in {env_file} is no setting: did you mean {meant[0]}?")
    if faults:
        raise StartFailed("\n".join(faults))


def _rows_per_s(p720_usd: Decimal | None, p1080_usd: Decimal | None) -> Mapping[Resolution, PriceRow]:
    prices = {Resolution.P720: p720_usd, Resolution.P1080: p1080_usd}
    return {name: PriceRow(second_microusd=microusd_from_usd(usd)) for name, usd in prices.items() if usd}


def _limit(quota_usd: Decimal | None) -> int | None:
    return None if quota_usd is None else microusd_from_usd(quota_usd)


def _sentence(fault: Mapping[str, Any]) -> str:
    what = str(fault["ctx"]["error"]) if fault["type"] == "value_error" else str(fault["msg"])
    if not fault["loc"]:
        return what
    field = str(fault["loc"][0])
    # Pydantic begins with "Input should be" and sometimes adds, after a comma, how its parser went about it.
    what = what.partition(", unable")[0].replace("Input should be", "must be").replace("String should", "must")
    info = Settings.model_fields[field]
    default = f"{info.default:g}" if isinstance(info.default, float) else str(info.default)
    return f"{field.upper()} {what}, for example {field.upper()}={(info.examples or [default])[0]}"
