"""The log: one line per event, whoever wrote it, with everything secret masked."""

import contextlib
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, WrappedLogger

MASK = "***"

# Libraries that write requests, addresses or SQL parameters below this level.
_QUIET = ("aiohttp.access", "aiosqlite", "discord.http", "discord.webhook", "hpack", "httpcore", "httpx", "PIL")

# What is secret by its look alone. Each pattern keeps its first group and masks the rest.
_SECRET_LOOKS = tuple(
    re.compile(pattern, flags=re.IGNORECASE)
    for pattern in (
        r"(\b(?:bearer|authorization\W{1,5}bot)\s+)[\w.~+/=-]+",
        # Gateway keys: ShortAPI, HiAPI, PixelDojo.
        r"((?<![a-z0-9])(?:ak-|sk-|pd_))[\w-]{3,}",
        # A bot token: application id, time and signature, each base64.
        r"()(?<![\w.-])[\w-]{23,32}\.[\w-]{6,7}\.[\w-]{27,}",
        # Interaction and webhook tokens stand in Discord's paths.
        r"(/(?:webhooks|interactions)/\d+/)[\w-]+",
        # The token at the end of a callback's address.
        r"(/callbacks/[\w-]+/[\w-]+/)[\w-]+",
        # A user name and a password in an address.
        r"(\w://)[^/\s@]+(?=@)",
        # The query of an address, whatever it holds, and signed parameters without their address.
        r"(\w://[^\s?\"'<>]*\?)[^\s\"'<>]+",
        r"([?&](?:ex|is|hm)=)[^\s&\"'<>]+",
        r"((?<![a-z0-9])(?:sig|signature|token|api_?key|password)(?:=|[\"']\s*:\s*[\"']))[^\s&\"'<>]+",
    )
)
_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")


class Redactor:
    """Masks the given secrets, also percent-encoded, and whatever looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""))}
        # The longest first: one secret may be the beginning of another.
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, MASK)
        for look in _SECRET_LOOKS:
            text = look.sub(rf"\g<1>{MASK}", text)
        return text

    def of_event(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        """Mask every value of an event. It runs after exceptions became text, so that their text is masked too."""
        return {key: self(value if isinstance(value, str) else str(value)) for key, value in event.items()}


def configure(*, level: int | str, secrets: Iterable[str], stream: TextIO | None = None) -> None:
    """Send every record of the process to `stream` (standard error). Called again, it replaces what it did before.

    The libraries that write addresses or parameters stay at WARNING whatever `level` is.
    """
    handler = _Handler(stream or sys.stderr)
    handler.setLevel(level)
    handler.setFormatter(_formatter(Redactor(secrets)))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the standard library's
        """Name the place of a call that could not be written; the library's own report would show its arguments."""
        with contextlib.suppress(OSError, ValueError):  # the stream itself may be what is broken
            self.stream.write(f"log call failed logger={record.name} line={record.lineno}\n")


def _formatter(redactor: Redactor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
        processors=[
            _add_record,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            redactor.of_event,
            _render,
        ],
    )


def _add_record(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return {**event, "at": at.replace("+00:00", "Z"), "level": record.levelname, "logger": record.name}


def _render(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """Write time, level and what happened, then the rest as ``key=value``: one line, whatever the values hold."""
    head = " ".join(event.pop(key) for key in ("at", "level", "event"))
    rest = structlog.processors.LogfmtRenderer()(logger, name, event)
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], f"{head} {rest}")
