"""The text forms of single settings, and what is refused in them."""

import ipaddress
import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from bot.domain.money import microusd_from_usd
from bot.domain.pricing import PriceRow

_ID = re.compile(r"[1-9][0-9]{0,18}")
# Nine digits before the point keep every sum of microdollars far inside SQLite's 64 bits.
_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_DATABASE = re.compile(r"sqlite:///(?P<path>[^?#]+)")
_WORD = re.compile(r"[!-~]+")
_UNLIMITED = "unlimited"
_EVERY_GUILD = "*"


class AttachmentHost(StrEnum):
    """Where the gateways fetch the pictures from."""

    DISCORD = "discord"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class Credits:
    """A price in a gateway's credits: the larger of a flat amount and an amount per second of video."""

    flat: Decimal = Decimal(0)
    second: Decimal = Decimal(0)

    def price_row(self, credit_usd: Decimal) -> PriceRow:
        return PriceRow(
            flat_microusd=microusd_from_usd(self.flat * credit_usd),
            second_microusd=microusd_from_usd(self.second * credit_usd),
        )


def _amount(value: object) -> Decimal:
    text = format(value, "f") if isinstance(value, Decimal) else str(value).strip()
    if not _AMOUNT.fullmatch(text):
        raise ValueError("must be a plain decimal number, at most 6 decimals, no sign and no currency")
    return Decimal(text)


def _price(value: object) -> Decimal | None:
    if value is None:
        return None
    amount = _amount(value)
    if not amount:
        raise ValueError("must be more than 0; leave it empty while the price is unknown")
    return amount


def _quota(value: object) -> Decimal | None:
    if value is None or str(value).strip().casefold() == _UNLIMITED:
        return None
    try:
        return _amount(value)
    except ValueError as error:
        raise ValueError(f"{error}, or `{_UNLIMITED}`") from error


def _credits(value: object) -> object:
    if not isinstance(value, str):
        return value
    flat = second = Decimal(0)
    for part in value.split(","):
        amount, per, unit = (piece.strip() for piece in part.partition("/"))
        credit = _amount(amount) if _AMOUNT.fullmatch(amount) else Decimal(0)
        if not credit or (per and unit != "s"):
            raise ValueError(
                "must be credits per video (`20`), per second (`4/s`), or both, of which the dearer counts"
            )
        flat, second = (flat, max(second, credit)) if per else (max(flat, credit), second)
    return Credits(flat, second)


def _ids(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not all(_ID.fullmatch(part) for part in parts):
        raise ValueError("must be Discord ids, digits only, separated by commas")
    return frozenset(int(part) for part in parts)


def _guild_ids(value: object) -> object:
    if value is None or (isinstance(value, str) and value.strip() == _EVERY_GUILD):
        return None
    try:
        return _ids(value)
    except ValueError as error:
        raise ValueError(f"{error}, or `{_EVERY_GUILD}` for every guild") from error


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not _WORD.fullmatch(text) or text[0] in "'\"":
        raise ValueError("must be one word of plain letters, digits and signs, without spaces or quotes around it")
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host_name(text: str) -> str:
    if not _WORD.fullmatch(text) or "/" in text:
        raise ValueError("must be an address or a host name alone, without http:// and port")
    return text


def _address(text: str) -> str:
    """Return the address without a closing slash, once it is safe to send keys or pictures to."""
    try:
        parts = urlsplit(text)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if host is None or parts.scheme not in {"https", "http"} or not _WORD.fullmatch(text):
        raise ValueError("must be a whole address that starts with https://")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must hold no user name, query or fragment")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError("must start with https:// (http:// is only for addresses of this machine, such as 127.0.0.1)")
    return text.rstrip("/")


def _discord_address(text: str) -> str:
    address = _address(text)
    if not address.endswith("/v10"):
        raise ValueError("must end with the version Gallop speaks, /v10")
    return address


def _database_url(text: str) -> str:
    match = _DATABASE.fullmatch(text)
    if match is None or match["path"] in {"/", ":memory:"} or match["path"].endswith("/"):
        raise ValueError("must name an SQLite file: sqlite:/// and a path, which starts with one more / if absolute")
    return text


Secret = Annotated[SecretStr, AfterValidator(_secret)]
Address = Annotated[str, AfterValidator(_address)]
DiscordAddress = Annotated[str, AfterValidator(_discord_address)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
HostName = Annotated[str, AfterValidator(_host_name)]
Port = Annotated[int, Field(ge=0, le=65535)]
Id = Annotated[int, Field(gt=0, lt=2**63)]
Ids = Annotated[frozenset[Id], BeforeValidator(_ids)]
# None is every guild.
GuildIds = Annotated[frozenset[Id] | None, BeforeValidator(_guild_ids)]
# Dollars; None is unlimited.
Quota = Annotated[Decimal | None, BeforeValidator(_quota)]
# Dollars; None is unpriced.
Price = Annotated[Decimal | None, BeforeValidator(_price)]
CreditPrice = Annotated[Credits | None, BeforeValidator(_credits)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Mebibytes = Annotated[int, Field(ge=1, le=500)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
