"""The stories that are cut short at every point, and what must be true of each when all is over."""

import itertools
import os
import shutil
import socket
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Set
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image

from bot.sandbox.discord import Message
from bot.sandbox.gateways import hiapi
from bot.sandbox.gateways.faults import JobFault, Refused, SubmitFault
from tests.scenarios.process import Stage
from tests.scenarios.theatre import has_video

_SECONDS = 3
_VIDEO = "discord.com/channels"
_FREE = "Nothing was charged"
# Below what systems give away by themselves; each process begins elsewhere.
_ports = itertools.count(20_000 + os.getpid() * 1_009 % 10_000)


@dataclass(frozen=True)
class Story:
    """What people do in the first life, until all of it is told; `ends` are the states its jobs come to, by prompt.

    `again`: lives after a kill are killed at every point, too; else only where a first life does not pass.
    """

    name: str
    play: Callable[[Stage], Awaitable[None]]
    ends: Mapping[str, Set[str]]
    settings: Mapping[str, str | None] = field(default_factory=dict)
    again: bool = False


def free_port() -> int:
    """Return a port for the bot's web server that stays free between two lives: the system gives it to nobody."""
    for port in _ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no port is free")


@cache
def _picture(colour: str) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (640, 480), colour).save(buffer, "PNG")
    return buffer.getvalue()


async def _ask(stage: Stage, mode: str, prompt: str, gateway: str, **options: object) -> None:
    pictures = {"image": _picture("navy")} if mode == "image" else {}
    asked = {"prompt": prompt, "gateway": gateway, "duration": _SECONDS, **options}
    await stage.theatre.command(f"video {mode}", asked, pictures=pictures)


async def _nobody_asks(stage: Stage) -> None:
    pass


async def _text(stage: Stage) -> None:
    await _ask(stage, "text", "a boat", "shortapi")
    await stage.theatre.card(_VIDEO)


async def _image(stage: Stage) -> None:
    await _ask(stage, "image", "a balloon", "hiapi")
    await stage.theatre.card(_VIDEO)


async def _reference(stage: Stage) -> None:
    pictures = {"image1": _picture("navy"), "image2": _picture("maroon")}
    options = {"prompt": "two lighthouses", "gateway": "pixeldojo", "duration": _SECONDS}
    await stage.theatre.command("video reference", options, pictures=pictures)
    await stage.theatre.card(_VIDEO)


async def _refused(stage: Stage) -> None:
    stage.theatre.gateways.shortapi.faults.submit.append(Refused.CONTENT)
    await _ask(stage, "text", "a pirate", "shortapi")
    await stage.theatre.card(_FREE)


async def _failing(stage: Stage) -> None:
    stage.theatre.gateways.hiapi.faults.job.append(JobFault.FAILS_CONTENT)
    await _ask(stage, "text", "a whale", "hiapi")
    await stage.theatre.card(_FREE)


async def _unclear(stage: Stage) -> None:
    """The gateway takes the job, its answer is lost, and its callback says so in the end."""
    stage.theatre.gateways.shortapi.faults.submit.append(SubmitFault.ACCEPT_THEN_DROP)
    await _ask(stage, "text", "a ghost ship", "shortapi")
    await stage.theatre.card(_VIDEO)


async def _busy(stage: Stage) -> None:
    """The gateway is busy, and takes the job at the second attempt."""
    faults = stage.theatre.gateways.shortapi.faults
    faults.submit.append(Refused.BUSY)
    faults.retry_after_s = 0
    await _ask(stage, "text", "a full harbour", "shortapi")
    await stage.theatre.card(_VIDEO)


async def _failing_over(stage: Stage) -> None:
    """The gateway has no credit left, and another one makes the same for the same price."""
    stage.theatre.gateways.shortapi.faults.submit.append(Refused.CREDIT)
    await _ask(stage, "text", "a second harbour", "auto")
    await stage.theatre.card(_VIDEO)
    assert stage.theatre.gateways.hiapi.jobs


async def _private(stage: Stage) -> None:
    await _ask(stage, "text", "a secret", "shortapi", private=True)
    await stage.theatre.card(_VIDEO, channel=stage.theatre.member.dm)


async def _cancelled(stage: Stage) -> None:
    theatre = stage.theatre
    await _ask(stage, "text", "the first boat", "hiapi")
    await theatre.card("the first boat", "● rendering")
    await _ask(stage, "text", "another boat", "hiapi")
    card = await theatre.card("another boat", "in line")
    await theatre.discord.press(theatre.member, card, "Cancel")
    await theatre.card("another boat", "Cancelled")
    await theatre.card("the first boat", _VIDEO)


START = Story("start", _nobody_asks, {})
TEXT = Story("text at ShortAPI", _text, {"a boat": {"stored"}}, again=True)
STORIES = (
    START,
    TEXT,
    Story("picture at HiAPI", _image, {"a balloon": {"stored"}}, again=True),
    Story(
        "pictures served to PixelDojo",
        _reference,
        # The gateway cannot fetch a picture from a bot that is dead.
        {"two lighthouses": {"stored", "failed"}},
        settings={"attachment_host": "web"},
    ),
    Story("refused by the gateway", _refused, {"a pirate": {"failed"}}),
    Story("failed at the gateway", _failing, {"a whale": {"failed"}}),
    Story("answer lost", _unclear, {"a ghost ship": {"stored"}}),
    Story("busy at first", _busy, {"a full harbour": {"stored"}}),
    Story(
        "failed over",
        _failing_over,
        {"a second harbour": {"stored"}},
        settings={"hiapi_720p_usd_per_s": "0.129"},
    ),
    Story("private", _private, {"a secret": {"stored"}}),
    Story(
        "cancelled in line",
        _cancelled,
        {"the first boat": {"stored"}, "another boat": {"cancelled"}},
        # Nobody calls back, so that the first is not known to be done before the second is cancelled.
        settings={"jobs_per_user": "1", "public_url": None},
    ),
)

_WORDS = {
    "stored": _VIDEO,
    "failed": _FREE,
    "lost": "never",
    "cancelled": "Cancelled",
}
_UNFINISHED = """
SELECT count(*) FROM jobs
WHERE state NOT IN ('stored', 'cancelled', 'failed', 'lost') OR delivery = 'due' OR next_at_ms < ?
"""
# A lost job is looked at every hour, in case its video turns up.
_SOON_S = 600


def is_at_rest(stage: Stage) -> bool:
    """Say whether the running bot has nothing left to do."""
    with closing(sqlite3.connect(f"{stage.database_path.as_uri()}?mode=ro", uri=True)) as db:
        (unfinished,) = db.execute(_UNFINISHED, [(time.time() + _SOON_S) * 1000]).fetchone()
    return unfinished == 0


def states(database: Path) -> dict[str, str]:
    """Return the state of each job, by prompt, as a kill left it."""
    with _copy(database) as db:
        if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'jobs'").fetchone() is None:
            return {}
        return dict(db.execute("SELECT prompt, state FROM jobs").fetchall())


@contextmanager
def _copy(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a copy: to recover the database from a kill is the next life's business."""
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob(f"{path.name}*"):
            if file.suffix in {".db", ".db-wal"}:
                shutil.copy(file, folder)
        with closing(sqlite3.connect(Path(folder) / path.name)) as db:
            yield db


def wrong_after(stage: Stage, story: Story, killed_in: Mapping[str, Set[str]]) -> list[str]:
    """Return what is wrong after the last life, one sentence each.

    `killed_in` holds the states in which kills left each prompt's job.
    """
    found = []
    with closing(sqlite3.connect(stage.database_path)) as db:
        db.row_factory = sqlite3.Row
        for prompt, ends in story.ends.items():
            jobs = db.execute("SELECT * FROM jobs WHERE prompt = ?", [prompt]).fetchall()
            if len(jobs) > 1:
                found.append(f"{prompt}: {len(jobs)} jobs")
            for job in jobs:
                states_then = killed_in.get(prompt, frozenset())
                allowed = _allowed(ends, states_then, bought=bool(_bought(stage, prompt)))
                found += [f"{prompt}: {fault}" for fault in _job_faults(stage, db, job, allowed)]
            if not jobs:
                found += [f"{prompt}: {fault} without a job" for fault in _traces(stage, prompt)]
        on_hold = db.execute("SELECT subject, calendar_window FROM committed WHERE on_hold_microusd > 0").fetchall()
        found += [f"something is still on hold: {tuple(row)}" for row in on_hold]
    found += [f"a half-written file: {path.name}" for path in (stage.folder / "data").rglob("*.part")]
    return [*found, *_repeats(stage)]


def _allowed(ends: Set[str], killed_in: Set[str], *, bought: bool) -> Set[str]:
    """Return how a job may end.

    Lost is one whose paid POST never arrived, and nobody can know that; what was bought comes, by callback or replay.
    """
    if killed_in & {"submitting", "unconfirmed"} and not bought:
        return ends | {"lost"}
    # Nobody presses Cancel in a later life.
    return ends | {"stored"} if "cancelled" in ends and "held" in killed_in else ends


def _job_faults(stage: Stage, db: sqlite3.Connection, job: sqlite3.Row, ends: Set[str]) -> Iterator[str]:
    if job["state"] not in ends:
        yield f"it ended as {job['state']}, not {' or '.join(sorted(ends))}"
    yield from _money_faults(stage, db, job)
    yield from _message_faults(stage, job)
    if job["video_name"] and not (stage.folder / "data" / "videos" / job["video_name"]).is_file():
        yield "its video is not in the library"


def _money_faults(stage: Stage, db: sqlite3.Connection, job: sqlite3.Row) -> Iterator[str]:
    """One hold, one resolution, at most one gateway job, and in the operator's book what that cost."""
    entries = db.execute("SELECT kind, amount_microusd FROM ledger WHERE job_id = ?", [job["job_id"]])
    amounts = {entry["kind"]: entry["amount_microusd"] for entry in entries}
    resolution = "settle" if job["state"] == "stored" else "release"
    if amounts.keys() != {"hold", resolution} or amounts["hold"] != job["price_microusd"]:
        yield f"the ledger says {amounts}"
    bought = _bought(stage, job["prompt"])
    if len(bought) > 1:
        yield f"{len(bought)} jobs at gateways"
    billed_microusd = sum(billed for _, billed in bought)
    (booked_microusd,) = db.execute(
        "SELECT coalesce(sum(billed_microusd), 0) FROM attempts WHERE job_id = ?", [job["job_id"]]
    ).fetchone()
    if booked_microusd < billed_microusd:
        yield f"gateways billed {billed_microusd}, the book says {booked_microusd}"


def _message_faults(stage: Stage, job: sqlite3.Row) -> Iterator[str]:
    messages = _messages(stage, job["prompt"])
    videos = [message for message in messages if has_video(message)]
    cards = [message for message in messages if not has_video(message)]
    has_posted = job["delivery"] == "posted"
    if len(videos) != has_posted or (job["state"] == "stored") > has_posted:
        yield f"{len(videos)} videos, delivery {job['delivery']}"
    words = _WORDS["stored"] if has_posted else _WORDS.get(job["state"], "")
    if len(cards) != 1 or words not in cards[0].text:
        yield f"its cards say {[card.text for card in cards]}"


def _bought(stage: Stage, prompt: str) -> list[tuple[str, int]]:
    """Return the gateway job id and the bill, in microdollars, of everything that was bought for a prompt."""
    gateways, settings = stage.theatre.gateways, stage.theatre.settings
    # The sandbox bills dollars, dollars whatever the operator was promised, and credits.
    stands = (
        (gateways.shortapi, Decimal(1)),
        (gateways.hiapi, Decimal(settings["hiapi_720p_usd_per_s"]) / hiapi.USD_PER_S["720p"]),
        (gateways.pixeldojo, Decimal(settings["pixeldojo_credit_usd"])),
    )
    return [
        (job.gateway_job_id, round(job.billed * unit_usd * 1_000_000))
        for stand, unit_usd in stands
        for job in stand.jobs.values()
        if job.asked.prompt == prompt
    ]


def _messages(stage: Stage, prompt: str) -> list[Message]:
    """Return what was posted about a prompt, but for the knock that opens direct messages before anything is held."""
    theatre = stage.theatre
    posted = [*theatre.channel.messages, *theatre.member.dm.messages]
    return [m for m in posted if prompt in m.text and not m.text.startswith("You asked for a private video")]


def _repeats(stage: Stage) -> Iterator[str]:
    """Whatever the bot says, to people or to the operator, it says once."""
    for channel in stage.theatre.discord.world.channels.values():
        said = Counter(message.text for message in channel.messages if message.author.bot)
        yield from (f"said {count} times: {text}" for text, count in said.items() if count > 1)


def _traces(stage: Stage, prompt: str) -> Iterator[str]:
    for gateway_job_id, _ in _bought(stage, prompt):
        yield f"{gateway_job_id} at a gateway"
    for message in _messages(stage, prompt):
        yield f"a message “{message.text}”"
