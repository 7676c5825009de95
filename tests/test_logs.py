"""The log: one line per event, and nothing secret in it."""

import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator

import pytest

from bot.logs import _QUIET, MASK, Redactor, configure

KNOWN = "kn0wn/secret+value"
DISCORD_TOKEN = "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"
LOOKS_SECRET = [
    "Bearer abc.def-ghi",
    "'Authorization': 'Bot x7y8z9'",
    "ak-0123456789abcdef",
    "sk-proj_0123456789",
    "pd_0123456789",
    DISCORD_TOKEN,
    "https://cdn.discordapp.com/attachments/1/2/a.png?ex=665f&is=665e&hm=f00d",
    "/a.png?ex=665f&hm=f00d",
    "https://media.example.org/v.mp4?Expires=1&Signature=f00d",
    "media/v.mp4 sig=f00d",
    "{'token': 'f00d'}",
    "https://discord.com/api/v10/interactions/123/aW50ZXJhY3Rpb24/callback",
    "https://discord.com/api/v10/webhooks/123/aW50ZXJhY3Rpb24/messages/@original",
    "https://name:word@example.org/path",
    "/callbacks/hiapi/k7m2p9q4r8s3t6v1/bW90aGVyLW9m-ZHJhZ29ucw_0123",
]
TELLTALE = re.compile(
    r"abc\.def|x7y8z9|0123456789|ZnCjm1|665f|f00d|Expires=1|aW50ZXJhY3Rpb24|bW90aGVy|name:word|kn0wn", re.IGNORECASE
)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in _QUIET}
    root.handlers.clear()  # pytest's own, which configure would close
    written = io.StringIO()
    configure(level="DEBUG", secrets=[KNOWN], stream=written)
    yield written
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, its_level in quiet.items():
        logging.getLogger(name).setLevel(its_level)


log = logging.getLogger("bot.domain.sample")


def test_an_event_is_one_line_that_begins_with_time_level_and_what_happened(stream: io.StringIO) -> None:
    log.info("job accepted job_id=%s gateway=%s", "j1", "hiapi", extra={"price_microusd": 645_000, "note": "two words"})

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO job accepted job_id=j1 gateway=hiapi"
        r' price_microusd=645000 note="two words" logger=bot\.domain\.sample\n',
        stream.getvalue(),
    )


def test_line_breaks_and_control_signs_in_values_stay_in_the_line(stream: io.StringIO) -> None:
    log.info("prompt %s", "one\ntwo\r\x1b[31m\u2028", extra={"note": "three\nfour\x00"})

    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().removesuffix("\n").isprintable()


def in_message(secret: str) -> None:
    log.info(f"happened {secret}")  # noqa: G004 - the case under test


def in_arguments(secret: str) -> None:
    log.info("happened %s %r", secret, {"inside": [secret]})


def in_extra(secret: str) -> None:
    log.info("happened", extra={"detail": secret, "nested": {"inside": [secret]}})


def in_exception_chain(secret: str) -> None:
    try:
        try:
            raise KeyError(secret)
        except KeyError as error:
            failure = RuntimeError(f"first line\n{secret}")
            failure.add_note(secret)
            raise failure from error
    except RuntimeError:
        log.exception("happened")


def in_exception_group(secret: str) -> None:
    log.error("happened", exc_info=ExceptionGroup("several", [ValueError(secret), OSError(secret)]))


def in_warning(secret: str) -> None:
    warnings.warn(secret, stacklevel=1)


def in_stack(secret: str) -> None:
    log.info("happened %s", secret, stack_info=True)


WAYS = [in_message, in_arguments, in_extra, in_exception_chain, in_exception_group, in_warning, in_stack]


@pytest.mark.parametrize("secret", [KNOWN, "kn0wn%2Fsecret%2Bvalue", *LOOKS_SECRET])
@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_masked_wherever_it_was_put(stream: io.StringIO, way: Callable[[str], None], secret: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        way(secret)

    assert MASK in stream.getvalue()
    assert not TELLTALE.search(stream.getvalue())
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "job accepted job_id=01h8xyz gateway=hiapi gateway_job_id=tk-hiapi-01HZTQ8BX2N3GM3YFK4Z9D7VQR",
        "job_abc123def456 69cac2e5b066fa83d0420890",
        "task-queue disk-full peak-hours key=video",
        "GET https://api.hiapi.ai/v1/tasks status=200",
        "bot.adapters.gateways.pixeldojo",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert Redactor(["another secret"])(text) == text


def test_a_secret_that_begins_with_another_is_masked_whole() -> None:
    assert Redactor(["abcd", "abcdefgh", ""])("abcdefgh abcd") == f"{MASK} {MASK}"


def test_a_call_that_cannot_be_written_names_its_place_and_shows_no_argument(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without pytest's own handlers, which fail the test on such a call.
    monkeypatch.setattr(logging.getLogger(), "handlers", logging.getLogger().handlers[:1])
    log.info("happened %d", KNOWN)

    assert re.fullmatch(r"log call failed logger=bot\.domain\.sample line=\d+\n", stream.getvalue())
    assert capsys.readouterr().err == ""


def test_a_closed_stream_stops_nobody(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    stream.close()
    log.info("happened")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "discord.http", "aiohttp.access", "aiosqlite"])
def test_libraries_that_write_addresses_are_kept_quiet(stream: io.StringIO, name: str) -> None:
    logging.getLogger(name).info("GET https://example.org/")
    logging.getLogger(name).warning("happened")

    assert stream.getvalue().count("\n") == 1


def test_configuring_again_replaces_the_first_time(stream: io.StringIO) -> None:
    second = io.StringIO()
    configure(level=logging.WARNING, secrets=[], stream=second)
    log.info("unheard")
    log.warning("happened")

    assert stream.getvalue() == ""
    assert second.getvalue().count("\n") == 1
