"""A soak: a crowd asks a real bot for videos from gateways that fail, while the bot is killed again and again."""

import asyncio
import os
import re
import socket
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, Self

from bot.adapters.media.render import render
from bot.adapters.store.sqlite import open_store
from bot.domain.money import microusd_from_usd, show_usd
from bot.domain.quota import Limits
from bot.sandbox.discord import Channel, Interaction, OpenApi, SandboxDiscord, Upload, User
from bot.sandbox.discord.bell import Bell
from bot.sandbox.gateways.books import Stand
from bot.sandbox.gateways.faults import BillFault, Chance, Faults, Refused
from bot.sandbox.gateways.server import RequestLimits, SandboxGateways
from bot.sandbox.gateways.works import Pace
from tests.picture_samples import jpeg, png
from tests.scenarios import soak_checks
from tests.scenarios.process import Life, Stage
from tests.scenarios.soak_checks import Records, mark, read_rows
from tests.scenarios.theatre import Theatre

GUILDS = 8
CREDIT_USD = Decimal("0.04")
TASK_LIFE_S = 30.0
# What is out of the ordinary for a gateway's whole account comes by appointment: by chance it would never be in use.
# HiAPI's keys fail beside everything else that may happen to a POST: rarely, so that one in five stays one in five.
_WEIGHTS = {
    "submit key": 0.0,
    "submit credit": 0.0,
    "bill above_list": 0.0,
    "key processing": 0.2,
    "key mismatch": 0.2,
}
_SHARE = 0.2
_ANSWER_S = 30.0
_CARD_S = 5.0
_ASKING_AT_ONCE = 12
_UNFINISHED_MAX = 40
_LOOK_S = 0.1
_LIFE_S = 300.0
_REST_S = 420.0
# What a private answer says: the words of bot/presentation. Any other is odd.
_ANSWERS = {
    "opened": re.compile(r"^\$[\d.]+ on hold"),
    "no quota": re.compile(r"This would take .* you have"),
    "no quota of the guild": re.compile(r"This would take .* this server has"),
    "too many failures": re.compile(r"failed today without a charge"),
    "gateway out": re.compile(r"takes (no )?jobs at the moment"),
    "no price": re.compile(r"has no price for this here"),
    "cancelled": re.compile(r"^Cancelled"),
    "too late to cancel": re.compile(r"cannot be stopped|nothing to cancel"),
    "bot killed": re.compile(r"^$"),
}


@dataclass(frozen=True)
class Size:
    """How much: jobs that are opened, and kills spread over them. The same seed asks and fails the same."""

    jobs: int
    kills: int
    seed: int

    @classmethod
    def from_environment(cls) -> Self:
        def read(name: str, default: int) -> int:
            return int(os.environ.get(name, default))

        return cls(read("SOAK_JOBS", 200), read("SOAK_KILLS", 4), read("SOAK_SEED", 20))


@dataclass(frozen=True)
class Wish:
    """What one member asks for, and after which words of the answer they cancel it; None: they do not."""

    user: User
    channel: Channel
    mode: str
    options: dict[str, Any]
    uploads: dict[str, Upload]
    cancels_after: str | None


@dataclass
class TickingFaults(Faults):
    """Faults that ring with every request which could meet one."""

    tick: Any = None

    def _next(self, *arguments: Any) -> Any:
        self.tick()
        return super()._next(*arguments)


@dataclass
class Moments:
    """Counts everything the bot does that can be seen from outside, so that it can be killed at any of it."""

    count: int = 0
    bell: Bell = field(default_factory=Bell)

    def tick(self, *_: object) -> None:
        self.count += 1
        self.bell.ring()

    async def pass_by(self, count: int) -> None:
        end = self.count + count
        await self.bell.until(lambda: self.count >= end or None, timeout_s=_LIFE_S, what=f"{count} moments")


@dataclass
class Standing:
    """How many jobs the database holds, and how many of them are not at their end."""

    opened: int = 0
    unfinished: int = 0


@dataclass
class Soak:
    """One soak from its first command to its books."""

    size: Size
    stage: Stage
    people: list[tuple[User, Channel]]
    limits: Limits
    pictures: dict[str, Upload]
    office: Channel
    moments: Moments = field(default_factory=Moments)
    answers: Counter[str] = field(default_factory=Counter)
    odd_answers: list[str] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    standing: Standing = field(default_factory=Standing)
    kills: int = 0
    asked: int = 0
    _up: asyncio.Event = field(default_factory=asyncio.Event)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    @cached_property
    def stands(self) -> tuple[Stand, ...]:
        gateways = self.stage.theatre.gateways
        return gateways.shortapi, gateways.hiapi, gateways.pixeldojo

    async def run(self) -> None:
        """Ask, kill and restart until every job is opened; then mend the gateways and wait for every end."""
        self._fail_by_chance()
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(self._look())
            crowd = [tasks.create_task(self._ask_on()) for _ in range(_ASKING_AT_ONCE)]
            for number in range(self.size.kills):
                async with self._life() as life:
                    await self._until(lambda n=number: self.standing.opened >= self._kill_at(n), _LIFE_S)
                    self._break_an_account(number)
                    await self.moments.pass_by(self._random(f"kill {number}").randrange(1, 60))
                    await life.kill()
                    # What was posted and not written down is for the next life to find, without Discord's help.
                    self.stage.theatre.discord.faults.forget_nonces()
                    self.kills += 1
            async with self._life() as life:
                await self._until(lambda: self.standing.opened >= self.size.jobs, _LIFE_S)
                self._over.set()
                for stand in self.stands:
                    stand.faults.mend()
                await asyncio.wait(crowd)
                # What has not ended by then is for the checks to find.
                with suppress(TimeoutError):
                    await self._until(lambda: not self.standing.unfinished, _REST_S)
                looking.cancel()
                assert await life.stop(timeout_s=30) == 0

    def _kill_at(self, number: int) -> int:
        return self.size.jobs * (number + 1) // (self.size.kills + 1)

    def _random(self, name: str) -> Random:
        return Random(f"{self.size.seed} {name}")  # noqa: S311 - it chooses moments and wishes, no secrets

    def _fail_by_chance(self) -> None:
        for number, stand in enumerate(self.stands):
            chance = Chance(share=_SHARE, seed=self.size.seed + number, weights=_WEIGHTS)
            stand.faults = TickingFaults(chance=chance, retry_after_s=1, hang_s=1.0, tick=self.moments.tick)

    def _break_an_account(self, number: int) -> None:
        """Shortly before a kill a gateway knows no key or has no credit; before the last, two bill above their list."""
        stand = self.stands[number % 3]
        stand.faults.submit.append((Refused.KEY, Refused.CREDIT)[number % 2])
        if number == self.size.kills - 1:
            for one in (self.stands[0], self.stands[2]):
                one.faults.bill.append(BillFault.ABOVE_LIST)

    @asynccontextmanager
    async def _life(self) -> AsyncIterator[Life]:
        async with self.stage.life() as life:
            self.lives.append(life)
            self._up.set()
            try:
                yield life
            finally:
                self._up.clear()
                self.moments.bell.ring()

    async def _until(self, holds: Any, timeout_s: float) -> None:
        """Look ten times a second: another process's database rings no bell."""
        async with asyncio.timeout(timeout_s):
            while not holds():  # noqa: ASYNC110 - nothing here could set an event
                await asyncio.sleep(_LOOK_S)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            if await asyncio.to_thread(self.stage.database_path.exists):
                self.standing = await asyncio.to_thread(_standing, self.stage.database_path)

    async def _ask_on(self) -> None:
        while not self._over.is_set():
            if self.standing.unfinished >= _UNFINISHED_MAX or not self._up.is_set():
                await asyncio.sleep(_LOOK_S)
                continue
            self.asked += 1
            await self._ask(self._wish(self.asked))

    async def _ask(self, wish: Wish) -> None:
        discord = self.stage.theatre.discord
        interaction = await discord.command(wish.user, wish.channel, f"video {wish.mode}", wish.options, wish.uploads)
        await self._answer(interaction)
        job_id = await asyncio.to_thread(self._job_of, interaction) if wish.cancels_after is not None else None
        if job_id is not None:
            # Those who wait for the card cancel all the same where none comes.
            with suppress(TimeoutError):
                await self._unless_killed(interaction, wish.cancels_after or "", timeout_s=_CARD_S)
            await self._answer(await discord.command(wish.user, wish.channel, "video cancel", {"job": job_id}))

    async def _answer(self, interaction: Interaction) -> None:
        """Take note of the private answer, or that the bot was killed before it gave one."""
        try:
            text = await self._unless_killed(interaction)
        except TimeoutError:
            text = f"nothing to {interaction} within {_ANSWER_S:g} s"
        kind = next((name for name, words in _ANSWERS.items() if words.search(text)), None)
        self.answers[kind or "odd"] += 1
        if kind is None:
            self.odd_answers.append(text)

    async def _unless_killed(self, interaction: Interaction, words: str = "", timeout_s: float = _ANSWER_S) -> str:
        """Return the private answer once it says these words; empty where the bot was killed before."""
        saying = interaction.answer(timeout_s=timeout_s, until=lambda message: words in message.text)
        answer, down = asyncio.create_task(saying), asyncio.create_task(self._down())
        await asyncio.wait({answer, down}, return_when=asyncio.FIRST_COMPLETED)
        down.cancel()
        text = (await answer).text if answer.done() else ""
        answer.cancel()
        return text

    async def _down(self) -> None:
        await self.moments.bell.until(lambda: None if self._up.is_set() else True, timeout_s=2 * _ANSWER_S, what="end")

    def _job_of(self, interaction: Interaction) -> str | None:
        with closing(_read_only(self.stage.database_path)) as db:
            row = db.execute("SELECT job_id FROM jobs WHERE interaction_id = ?", (interaction.id,)).fetchone()
        return row[0] if row else None

    def _wish(self, number: int) -> Wish:
        """The nth wish is the same in every soak of that seed."""
        random = self._random(f"wish {number}")
        # A few ask for far more than the others, until their quota ends that.
        crowd = self.people[: max(3, len(self.people) // 30)] if random.random() < 0.08 else self.people
        user, channel = random.choice(crowd)
        mode = random.choices(("text", "image", "reference"), (70, 15, 15))[0]
        gateways = ("auto", "auto", "shortapi", "hiapi", *(("pixeldojo",) * 2 if mode == "reference" else ()))
        greedy = random.random() < 0.02
        options: dict[str, Any] = {
            "prompt": f"{mark(number)} a paper boat" + (" like [Image 1]" if mode == "reference" else ""),
            "gateway": random.choice(gateways),
            "duration": 15 if greedy else random.choice((3, 3, 3, 4, 6)),
            "resolution": "1080p" if (greedy or random.random() < 0.1) and "pixeldojo" not in gateways else "720p",
        }
        if random.random() < 0.1:
            options["private"] = True
        if random.random() < 0.05:
            channel = user.dm
        uploads = {"text": {}, "image": {"image": self.pictures["jpeg"]}}.get(mode)
        if uploads is None:
            both = random.random() < 0.3
            uploads = {"image1": self.pictures["png"]} | ({"image2": self.pictures["jpeg"]} if both else {})
        cancels_after = random.choices((None, "", "discord.com/channels"), (90, 5, 5))[0]
        return Wish(user, channel, mode, options, uploads, cancels_after)

    async def records(self) -> Records:
        """Read everything, once the bot has ended."""
        database, discord = self.stage.database_path, self.stage.theatre.discord
        units = {"pixeldojo": CREDIT_USD}
        attempts = read_rows(database, "attempts")
        unpriced = [row["value"] for row in read_rows(database, "notes") if row["key"] == "overbilled"]
        async with open_store(database) as store:
            losses = [await store.loss_microusd(month=month) for month in {row["month"] for row in attempts}]
        return Records(
            jobs=read_rows(database, "jobs"),
            attempts=attempts,
            ledger=read_rows(database, "ledger"),
            bills=[
                bill
                for stand in self.stands
                for bill in soak_checks.bills_of(stand, unit_usd=units.get(stand.name, Decimal(1)))
            ],
            posts=[post for stand in self.stands for post in soak_checks.posts_to(stand)],
            messages=list(
                soak_checks.messages_in(
                    (channel for channel in discord.world.channels.values() if channel is not self.office),
                    discord.world.bot,
                )
            ),
            odd_answers=self.odd_answers,
            notices=[message.text for message in self.office.messages],
            files=soak_checks.files_under(self.stage.folder / "data"),
            log=[line for life in self.lives for line in life.log],
            limits=self.limits,
            reported_loss_microusd=sum(losses),
            unpriced="\n".join(unpriced).split(),
            bills_above_list=sum(stand.faults.met["bill above_list"] for stand in self.stands),
        )


@dataclass
class Summary:
    """What the README says of a soak. Money in dollars as text."""

    jobs: int
    kills: int
    asked: int
    took_s: float
    endings: dict[str, int]
    answers: dict[str, int]
    faults: dict[str, int]
    unconfirmed: dict[str, int]
    submitted_again: int
    money: dict[str, str]

    def lines(self) -> Iterator[str]:
        for name, value in asdict(self).items():
            if isinstance(value, dict):
                yield f"{name}: " + ", ".join(f"{key} {count}" for key, count in value.items())
            else:
                yield f"{name}: {value}"


def summary(soak: Soak, records: Records, *, took_s: float) -> Summary:
    faults: Counter[str] = Counter()
    for stand in soak.stands:
        faults += stand.faults.met
    settled = sum(row["amount_microusd"] for row in records.ledger if row["kind"] == "settle")
    billed = sum(row["billed_microusd"] or 0 for row in records.attempts)
    paid_by_gateways = sum(bill.known_microusd for bill in records.bills)
    return Summary(
        jobs=len(records.jobs),
        kills=soak.kills,
        asked=soak.asked,
        took_s=round(took_s, 1),
        endings=dict(Counter(_ending(job) for job in records.jobs).most_common()),
        answers=dict(soak.answers.most_common()),
        faults=dict(sorted(faults.items())),
        unconfirmed=dict(_healed(records).most_common()),
        submitted_again=sum(row["number"] > 1 for row in records.attempts),
        money={
            "people paid": show_usd(settled),
            "gateways billed": show_usd(paid_by_gateways),
            "booked as billed": show_usd(billed),
            "loss": show_usd(records.reported_loss_microusd),
        },
    )


def _ending(job: Any) -> str:
    return f"{job['state']} {job['ending']}" if job["ending"] else str(job["state"])


def _healed(records: Records) -> Counter[str]:
    """Say what became of each attempt whose POST brought no certain answer, by the log and the rows."""
    said = {
        word: {match[1] for line in records.log if (match := re.search(pattern, line))}
        for word, pattern in (
            ("accepted", r"gateway accepted job_id=(\w+)"),
            ("replay", r"replay confirmed job_id=(\w+)"),
        )
    }
    newest = {job_id: max(rows, key=lambda row: row["number"]) for job_id, rows in records.attempts_of().items()}
    healed: Counter[str] = Counter()
    for job_id, attempt in newest.items():
        if job_id in said["accepted"] or (attempt["gateway_job_id"] is None and attempt["billed_source"] == "reported"):
            continue
        if attempt["gateway_job_id"] is None:
            healed["lost"] += 1
        else:
            healed["confirmed by replay" if job_id in said["replay"] else "confirmed by callback"] += 1
    return healed


def _read_only(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True)


def _standing(database: Path) -> Standing:
    """Count what the bot has opened and what it still has to do; a database being made holds nothing yet."""
    with closing(_read_only(database)) as db:
        try:
            opened, unfinished = db.execute(
                """
                SELECT count(*), total(
                    state NOT IN ('stored', 'cancelled', 'failed', 'lost') OR delivery = 'due'
                    OR coalesce(card_face, '') NOT IN ('delivered', 'kept', 'cancelled', 'failed', 'lost')
                )
                FROM jobs
                """
            ).fetchone()
        except sqlite3.OperationalError:
            return Standing()
    return Standing(opened, int(unfinished))


@asynccontextmanager
async def soak(folder: Path, size: Size) -> AsyncIterator[Soak]:
    """Open the sandbox with its crowd; the bot is started by `Soak.run`."""
    video = await render(prompt="soak", pictures=(), width=128, height=72, duration_s=3, label="soak")

    async def prepared(**_: object) -> bytes:
        return video

    document, signing_key = os.environ.get("DISCORD_OPENAPI"), "a-signing-key-of-some-length"
    async with (
        SandboxDiscord.start(
            openapi=OpenApi.read(Path(document)) if document else None, messages_per_5_s=None, webhook_per_2_s=None
        ) as discord,
        SandboxGateways.start(
            render=prepared,
            pace=Pace(job_s=0.05, callback_delays_s=(0, 0.5, 2)),
            limits=RequestLimits(shortapi=1_000_000, hiapi=1_000_000, pixeldojo=1_000_000),
            hiapi_signing_key=signing_key,
        ) as gateways,
    ):
        people = _people(discord, size)
        user, channel = people[0]
        assert channel.guild is not None
        quotas = _quotas(size)
        office = channel.guild.add_channel("operators")
        settings = _settings(discord, gateways, folder, signing_key=signing_key) | quotas
        settings["operator_channel_id"] = str(office.id)
        stage = Stage(Theatre(discord, gateways, channel.guild, channel, user, folder, settings), folder)
        pictures = {"jpeg": Upload("a.jpg", jpeg(480, 420)), "png": Upload("b.png", png(420, 480))}
        made = Soak(size, stage, people, _limits(quotas), pictures, office)
        discord.world.observers.append(made.moments.tick)
        yield made
        discord.assert_clean()


def _people(discord: SandboxDiscord, size: Size) -> list[tuple[User, Channel]]:
    """Five jobs a head on average; the first guild has twice the members of any other."""
    served = [discord.add_guild(f"guild {number}", owner=discord.owner) for number in range(GUILDS)]
    rooms = [guild.add_channel(f"videos-{number}") for guild in (served[0], *served) for number in range(2)]
    people = []
    for number in range(max(20, size.jobs // 5)):
        user, room = discord.add_user(f"member {number}"), rooms[number % len(rooms)]
        assert room.guild is not None
        room.guild.add_member(user)
        people.append((user, room))
    return people


def _quotas(size: Size) -> dict[str, str]:
    """Finite, and met now and then: by those who ask for most, and by the largest guild towards the end."""
    return {
        "quota_user_day_usd": "3",
        "quota_user_month_usd": "20",
        "quota_guild_month_usd": str(max(8, size.jobs // 10)),
        "quota_bot_month_usd": str(size.jobs),
    }


def _limits(quotas: dict[str, str]) -> Limits:
    def limit(name: str) -> int:
        return microusd_from_usd(Decimal(quotas[f"quota_{name}_usd"]))

    return Limits(limit("user_day"), limit("user_month"), limit("guild_month"), limit("bot_month"))


def _settings(discord: SandboxDiscord, gateways: SandboxGateways, folder: Path, *, signing_key: str) -> dict[str, Any]:
    port = _free_port()
    per_min = dict.fromkeys((f"{name}_requests_per_min" for name in ("shortapi", "hiapi", "pixeldojo")), "6000")
    return {
        "discord_token": discord.bot_token,
        "discord_api_url": discord.api_url,
        "guild_ids": "*",
        "database_url": f"sqlite:///{folder}/gallop.db",
        "data_dir": str(folder / "data"),
        "shortapi_key": gateways.shortapi.key,
        "shortapi_url": gateways.shortapi.base_url,
        "hiapi_key": gateways.hiapi.key,
        "hiapi_url": gateways.hiapi.base_url,
        "hiapi_signing_key": signing_key,
        "hiapi_720p_usd_per_s": "0.139",
        "hiapi_1080p_usd_per_s": "0.186",
        "pixeldojo_key": gateways.pixeldojo.key,
        "pixeldojo_url": gateways.pixeldojo.base_url,
        "pixeldojo_credit_usd": str(CREDIT_USD),
        "public_url": f"http://127.0.0.1:{port}",
        "http_port": str(port),
        "watch_first_s": "0.5",
        "watch_interval_s": "0.5",
        "watch_interval_max_s": "2",
        "slow_after_s": "2",
        "task_life_s": str(TASK_LIFE_S),
        "jobs_per_user": "2",
        "jobs_per_guild": "30",
        "jobs_per_gateway": "30",
        **per_min,
    }


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
