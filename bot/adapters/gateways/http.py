"""Turns what httpx does into the domain's words: one way for the paid POST, one for reads, one reader of JSON."""

import asyncio
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
from pydantic import SecretStr, TypeAdapter, ValidationError

from bot.adapters.gateways.download import Resolve, addresses_of, download
from bot.domain.errors import GatewayUnavailable, Refusal, SubmissionRefused, SubmissionUnconfirmed
from bot.domain.money import microusd_from_usd

# httpx raises these only while no connection stands, so not one byte of the request has left.
NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
# Everything else it raises. OSError is here because an error inside TLS or the deadline below arrives as itself.
MAYBE_SENT = (httpx.HTTPError, httpx.StreamError, httpx.CookieConflict, OSError)

ANSWER_BYTES_MAX = 1_000_000
# httpx times each read, not the whole; a server that sends a byte a second would hold the POST for ever.
DEADLINE_S = 120.0
# As long as a job may wait in line (bot/domain/line.py).
RETRY_AFTER_MAX_S = 3_600.0
# The longest 1080p video weighs about 11 MB (gateways.md 4.5).
VIDEO_BYTES_MAX = 100_000_000
VIDEO_TIMEOUT_S = 300.0
ID_CHARACTERS_MAX = 200
# No bill for one video comes near it; what is above is nonsense, and 1E+999999 would keep the processor busy.
_USD_MAX = Decimal(1_000_000)
_READ_REASONS = {401: Refusal.KEY, 403: Refusal.KEY, 429: Refusal.BUSY}
_OBJECT: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])


@dataclass(frozen=True, slots=True)
class Base:
    """Where a gateway is. `own_host` is its host name when that is this machine (then http is allowed), else None."""

    address: str
    own_host: str | None


def read_base(text: str, *, prefix: str) -> Base:
    """Read a gateway's address, given with or without its path prefix (such as ``/v1``).

    Raises:
        ValueError: one plain sentence, for the operator.
    """
    parts = urlsplit(text.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("the address must look like https://host or https://host/path")
    own = _is_loopback(parts.hostname)
    if parts.scheme == "http" and not own:
        raise ValueError("the address must start with https:// (http:// is only for this machine, such as 127.0.0.1)")
    path = parts.path.rstrip("/").removesuffix(prefix).rstrip("/")
    return Base(f"{parts.scheme}://{parts.netloc}{path}{prefix}", parts.hostname if own else None)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, cut at ANSWER_BYTES_MAX. `retry_after_s` is clamped to an hour."""

    status: int
    content: bytes
    retry_after_s: float | None = None

    def payload(self) -> dict[str, object] | None:
        """Return the JSON object in it, or None when there is none."""
        try:
            return _OBJECT.validate_json(self.content)
        except ValidationError:
            return None


class Wire:
    """The HTTP side of one gateway: its address, key and clients. `transport` replaces the network in tests."""

    def __init__(
        self,
        *,
        gateway: str,
        base: Base,
        key: SecretStr | None,
        hosts: tuple[str, ...],
        read_timeout_s: float = 30,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve = addresses_of,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.gateway = gateway
        self._base = base
        self._hosts = hosts
        self._resolve = resolve
        self._now = now
        self._key_header = _key_header(key)
        timeout = httpx.Timeout(connect=10, read=read_timeout_s, write=30, pool=10)
        # Made once for both clients: reading the certificates takes 20 ms.
        tls = httpx.create_ssl_context(trust_env=False) if transport is None else True
        # Paid POSTs and downloads never meet a kept-alive connection: a stale one turns "no" into "perhaps", and
        # downloads connect to addresses they checked themselves.
        self._fresh = httpx.AsyncClient(
            transport=transport,
            verify=tls,
            timeout=timeout,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )
        self._kept = httpx.AsyncClient(transport=transport, verify=tls, timeout=timeout, trust_env=False)

    @property
    def has_key(self) -> bool:
        return bool(self._key_header)

    async def post_paid(self, path: str, body: bytes, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a paid POST once and return whatever was answered, of any status.

        Raises:
            SubmissionRefused: no connection was made, or there is no key.
            SubmissionUnconfirmed: there is no whole answer.
        """
        if not self._key_header:
            raise SubmissionRefused(self.gateway, "no key", reason=Refusal.KEY)
        fixed = {"Content-Type": "application/json", "Connection": "close", **self._key_header}
        request = self._fresh.build_request(
            "POST", self._base.address + path, content=body, headers={**(headers or {}), **fixed}
        )
        try:
            return await self._answer(self._fresh, request)
        except NOT_SENT as error:
            raise SubmissionRefused(self.gateway, type(error).__name__, reason=Refusal.CONNECTION) from error
        except MAYBE_SENT as error:
            raise SubmissionUnconfirmed(self.gateway, type(error).__name__) from error

    async def get(
        self, path: str, *, params: Mapping[str, str] | None = None, public: bool = False
    ) -> dict[str, object]:
        """Read a JSON object; free. `public` reads go without the key.

        Raises:
            GatewayUnavailable: there was no answer, its status was not 200, or it held no JSON object.
        """
        headers = {} if public else self._key_header
        request = self._kept.build_request("GET", self._base.address + path, params=params, headers=headers)
        try:
            answer = await self._answer(self._kept, request)
        except (*NOT_SENT, *MAYBE_SENT) as error:
            raise GatewayUnavailable(self.gateway, type(error).__name__, Refusal.CONNECTION) from error
        payload = answer.payload() if answer.status == httpx.codes.OK else None
        if payload is None:
            reason = _READ_REASONS.get(answer.status, Refusal.BUSY if answer.status >= 500 else Refusal.OTHER)
            raise GatewayUnavailable(self.gateway, f"no readable answer, status {answer.status}", reason)
        return payload

    async def fetch(self, address: str, target: Path) -> None:
        """Write the video at `address` to `target`; the errors are those of `Gateway.fetch`."""
        await download(
            address,
            target,
            gateway=self.gateway,
            client=self._fresh,
            hosts=self._hosts,
            own_host=self._base.own_host,
            bytes_max=VIDEO_BYTES_MAX,
            timeout_s=VIDEO_TIMEOUT_S,
            resolve=self._resolve,
        )

    async def aclose(self) -> None:
        await self._fresh.aclose()
        await self._kept.aclose()

    async def _answer(self, client: httpx.AsyncClient, request: httpx.Request) -> Answer:
        request.headers["Accept-Encoding"] = "identity"
        content = bytearray()
        async with asyncio.timeout(DEADLINE_S):
            response = await client.send(request, stream=True, follow_redirects=False)
            try:
                # Small answers of brotli or zstandard can hold gigabytes; what we did not ask for stays unread.
                if response.headers.get("Content-Encoding", "identity").lower() in {"identity", "gzip", "deflate"}:
                    async for chunk in response.aiter_bytes():
                        content += chunk
                        if len(content) > ANSWER_BYTES_MAX:
                            break
            finally:
                await response.aclose()
        retry_after_s = read_retry_after(response.headers.get("Retry-After"), now=self._now())
        return Answer(response.status_code, bytes(content[:ANSWER_BYTES_MAX]), retry_after_s)


def _key_header(key: SecretStr | None) -> dict[str, str]:
    text = key.get_secret_value().strip() if key else ""
    if not text:
        return {}
    if not (text.isascii() and text.isprintable()):
        raise ValueError("the key holds characters that no key has; copy it again")
    return {"Authorization": f"Bearer {text}"}


def read_retry_after(text: str | None, *, now: datetime) -> float | None:
    """Read seconds or an HTTP date, clamped to 0 and an hour; None when there is nothing to read."""
    if not text:
        return None
    try:
        wait_s = float(text) if text.strip().isdigit() else (parsedate_to_datetime(text) - now).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(wait_s, 0.0), RETRY_AFTER_MAX_S)


def read_decimal(value: object) -> Decimal | None:
    """Read a number or decimal text of a gateway; None for what is no sane amount."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 <= number < _USD_MAX else None


def read_microusd(value: object) -> int | None:
    """Read a dollar amount as a gateway writes it."""
    amount = read_decimal(value)
    return None if amount is None else microusd_from_usd(amount)


def read_time(value: object) -> datetime | None:
    """Read Unix seconds or ISO 8601 text; None for anything else."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | float) and value > 0:
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def read_id(*candidates: object) -> str | None:
    """Return the first candidate that can be a job id: a number or visible text without blanks."""
    for value in candidates:
        text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
        if 0 < len(text) <= ID_CHARACTERS_MAX and text.isprintable() and " " not in text and text.strip("."):
            return text
    return None


def read_callback_id(body: bytes, *keys: str, under: tuple[str, ...] = ("data",)) -> str | None:
    """Return the job id that a callback's body names, at its top or in an object `under` it; None for anything else.

    An earlier key counts before a later one, wherever they stand: beside a `job_id`, an `id` may be the event's.
    """
    payload = Answer(httpx.codes.OK, body).payload() or {}
    places = [payload, *(as_object(payload.get(name)) for name in under)]
    return read_id(*(place.get(key) for key in keys for place in places))


def path_part(gateway_job_id: str) -> str:
    """Write an id so that it stays one part of a path."""
    return quote(gateway_job_id, safe="")


def as_object(value: object) -> dict[str, object]:
    """Return a JSON object as it is and anything else as an empty one."""
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """Return a JSON array as it is and anything else as an empty one."""
    return list(value) if isinstance(value, list) else []
