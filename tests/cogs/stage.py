"""A simulated Discord with the real command group on a real service and store; gateways and messages are fakes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import simcord

from bot.adapters.discord.client import GallopBot
from bot.adapters.media.library import FileLibrary
from bot.adapters.media.pictures import PictureIntake
from bot.adapters.patterns import LinearPatterns
from bot.adapters.store.reports import SqliteReports
from bot.adapters.store.sqlite import SqliteStore, open_store
from bot.domain.breakers import Breakers
from bot.domain.confirming import Confirmer
from bot.domain.guild_choices import SettingsService
from bot.domain.guild_doctor import GuildDoctor
from bot.domain.guild_jobs import GuildJobService
from bot.domain.job import Job
from bot.domain.job_runner import JobRunner
from bot.domain.job_views import JobViews
from bot.domain.managing import ManagerService
from bot.domain.offers import Serving
from bot.domain.operating import OperatorService
from bot.domain.personal import PersonalService
from bot.domain.pricing import Capabilities, Idempotency, ModeCapability, Overbilled, PriceRow
from bot.domain.privacy import PrivacyService
from bot.domain.quota import Caps, Limits
from bot.domain.reporting import ReportService
from bot.domain.request import Attachment, Mode, PictureRules, Resolution
from bot.domain.request_pace import RequestPace
from bot.domain.submitting import Submitter
from bot.domain.telling import Teller
from bot.domain.upkeep import Upkeep
from bot.domain.video_service import VideoService
from bot.domain.watch_times import WatchTimes
from bot.domain.watching import Watcher
from bot.presentation.unconfirmed import Patience
from cogs.video import VideoCog
from cogs.video_admin import VideoAdminCog
from tests.fakes import (
    RULES,
    FakeCallbacks,
    FakeClock,
    FakeGateway,
    FakeHosting,
    FakeMeasures,
    FakeMessenger,
    FakePlotter,
    capabilities,
)

LIMITS = Limits(5_000_000, 50_000_000, 100_000_000, 200_000_000)
PICTURES = {
    Mode.TEXT: None,
    Mode.IMAGE: PictureRules(count_min=1, count_max=1, short_side_min_px=300, bytes_max=10_000_000),
    Mode.REFERENCE: RULES,
}
FIVE_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4")


def gateways() -> list[Capabilities]:
    """The four gateways as members meet them."""
    shortapi_modes = {
        mode: ModeCapability(
            model=f"alibaba/happyhorse-1.0/{mode}-to-video",
            ratios=() if mode is Mode.IMAGE else FIVE_RATIOS,
            pictures=PICTURES[mode],
            picture_token="character{n}",
        )
        for mode in Mode
    }
    references = ModeCapability("happyhorse-1.0-r2v", FIVE_RATIOS, pictures=RULES, seed=True, negative_prompt=True)
    return [
        capabilities("shortapi", title="ShortAPI", model_title="HappyHorse 1.0", modes=shortapi_modes),
        capabilities(
            "hiapi",
            title="HiAPI",
            prices={Resolution.P720: PriceRow(second_microusd=150_000)},
            idempotency=Idempotency.REPLAY,
        ),
        capabilities("pixeldojo", title="PixelDojo", model_title="HappyHorse 1.0", modes={Mode.REFERENCE: references}),
        capabilities(
            "animatic",
            title="Animatic",
            model_title="preview",
            prices={},
            free=True,
            fetches_pictures=False,
            jobs_per_user_day=10,
        ),
    ]


@dataclass
class Stage:
    """Everything a test of a command looks at."""

    env: Any
    bot: GallopBot
    guild: Any
    channel: Any
    member: Any
    service: VideoService
    operating: OperatorService
    operator_ids: set[int]
    managers: ManagerService
    guild_jobs: GuildJobService
    settings: SettingsService
    guild_doctor: GuildDoctor
    plotter: FakePlotter
    reports: ReportService
    privacy: PrivacyService
    personal: PersonalService
    upkeep: Upkeep
    runner: JobRunner
    gateways: dict[str, FakeGateway]
    breakers: Breakers
    store: SqliteStore
    library: FileLibrary
    messenger: FakeMessenger
    clock: FakeClock

    async def turn(self, seconds: float) -> None:
        """Turn the clock, and let everything happen that waited for it."""
        self.clock.turn(seconds)
        await self.env.settle()

    async def add_cogs(self, bot: GallopBot) -> None:
        """Give a bot, such as one after a restart, the commands."""
        await _add_cogs(bot, vars(self))

    def loosen(self) -> None:
        """Let every value through that Discord itself would stop: ranges, lengths and choices."""
        _loosen(self.env.backend.find_command("video", self.guild.id))

    async def slash(self, name: str, **options: Any) -> Any:
        return await self.member.slash(self.channel, f"video {name}", **options)

    async def say(self, name: str, **options: Any) -> str:
        """Run a command and return the text of its private answer."""
        result = await self.slash(name, **options)
        assert result.ephemeral
        return shown(result)

    async def newest_job(self) -> Job:
        [job, *_] = await self.store.jobs_of(self.member.id, limit=1)
        return job


class _StageClock(FakeClock):
    """A quote that waits for a press or its end is no unfinished work, which SimCord must be told."""

    def __init__(self, envs: list[Any]) -> None:
        super().__init__()
        self._envs = envs

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        task = asyncio.current_task()
        if task is None or not task.get_name().startswith("quote "):
            return await super().wait(event, timeout_s)
        ringing = asyncio.ensure_future(self._external(event.wait()))
        timer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleeper = (self._elapsed_s + timeout_s, timer, event)
        self._sleepers.append(sleeper)
        try:
            await self._external(asyncio.wait({timer, ringing}, return_when=asyncio.FIRST_COMPLETED))
        finally:
            ringing.cancel()
            self._sleepers = [each for each in self._sleepers if each is not sleeper]
        return event.is_set()

    async def _external(self, waiting: Any) -> Any:
        return await self._envs[0].external_wait(waiting, reason="a quote waits")


def _loosen(option: dict[str, Any]) -> None:
    for limit in ("min_value", "max_value", "min_length", "max_length", "choices"):
        option.pop(limit, None)
    for inner in option.get("options", []):
        _loosen(inner)


def shown(result: Any) -> str:
    """Return every word of an answer, whichever kind of message it is."""
    message = result.response
    return message.content or "\n".join(texts(message.components))


def texts(components: list[dict[str, Any]]) -> list[str]:
    found = []
    for component in components:
        found += [component["content"]] if "content" in component else []
        found += texts(component.get("components", []))
    return found


@asynccontextmanager
async def stage(
    folder: Path, *, limits: Limits = LIMITS, served: bool = True, jobs_run: bool = True
) -> AsyncIterator[Stage]:
    """Open a guild with one member. Jobs get their card and stay in line.

    `served` opens the guild for paid gateways; without `jobs_run` nothing happens to a job.
    """
    async with open_store(folder / "gallop.db") as store:
        bot = GallopBot()
        made = _wire(store, folder, bot, limits=limits, served=served)
        await _add_cogs(bot, made)
        running = asyncio.create_task(made["runner"].run()) if jobs_run else None
        try:
            async with simcord.run(bot, shard_count=1) as env:
                await bot.tree.sync()
                made["cdn"].append(env)
                guild = env.create_guild()
                member = guild.add_member(env.create_user("mia"))
                del made["cdn"]
                yield Stage(
                    env=env,
                    bot=bot,
                    guild=guild,
                    channel=guild.create_text_channel("general"),
                    member=member,
                    store=store,
                    **made,
                )
        finally:
            if running is not None:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


async def _add_cogs(bot: GallopBot, made: dict[str, Any]) -> None:
    services = {name: made[name] for name in ("service", "privacy", "personal", "library")}
    await bot.add_cog(VideoCog(bot, **services))
    await bot.add_cog(
        VideoAdminCog(
            bot,
            made["operating"],
            Patience.of(gateways(), task_life_s=86_400),
            managers=made["managers"],
            guild_jobs=made["guild_jobs"],
            settings=made["settings"],
            doctor=made["guild_doctor"],
            reports=made["reports"],
            titles={facts.gateway: facts.title for facts in gateways()},
        )
    )


def _wire(store: SqliteStore, folder: Path, bot: GallopBot, *, limits: Limits, served: bool) -> dict[str, Any]:
    messenger, library, envs = FakeMessenger(), FileLibrary(folder), []
    clock, plotter = _StageClock(envs), FakePlotter()
    fakes = {facts.gateway: FakeGateway(facts) for facts in gateways()}
    views = JobViews(store=store, gateways=fakes, caps=Caps(3, 10, 8), times=WatchTimes(), clock=clock)
    paces = {name: RequestPace(6_000, clock) for name in fakes}
    times = WatchTimes(first_s=20.0)

    async def fetch(attachment: Attachment) -> bytes:
        data = envs[0].backend.cdn.get(attachment.address)
        assert data is not None
        return data

    async def remember(_rows: str) -> None: ...

    breakers = Breakers(clock)
    operator_ids: set[int] = set()
    shared = {
        "store": store,
        "gateways": fakes,
        "views": views,
        "library": library,
        "overbilled": Overbilled(None, remember),
        "clock": clock,
    }
    submitter = Submitter(
        **shared,
        guild_store=store,
        messenger=messenger,
        hosting=FakeHosting(),
        breakers=breakers,
        callbacks=FakeCallbacks(),
        times=times,
    )
    watcher = Watcher(**shared, paces=paces, measures=FakeMeasures(), times=times)
    confirmer = Confirmer(
        store=store,
        gateways=fakes,
        paces=paces,
        submitter=submitter,
        watcher=watcher,
        breakers=breakers,
        times=times,
        clock=clock,
    )
    runner = JobRunner(
        store=store,
        gateways=fakes,
        paces=paces,
        submitter=submitter,
        watcher=watcher,
        confirmer=confirmer,
        breakers=breakers,
        teller=Teller(
            store=store,
            messenger=messenger,
            views=views,
            measures=FakeMeasures(),
            clock=clock,
            started_at=clock.now(),
        ),
        caps=Caps(per_user=0, per_guild=0, per_gateway=0),
        times=times,
        clock=clock,
    )
    service = VideoService(
        **shared,
        pictures=PictureIntake(fetch=fetch, library=library),
        messenger=messenger,
        runner=runner,
        serving=Serving(None if served else frozenset({1}), frozenset),
        breakers=breakers,
        guild_store=store,
        patterns=LinearPatterns(),
        limits=limits,
    )
    upkeep = Upkeep(store=store, guild_store=store, library=library, retention=timedelta(days=30), clock=clock)
    return {
        "service": service,
        "operating": OperatorService(
            store=store,
            gateways=fakes,
            views=views,
            watcher=watcher,
            confirmer=confirmer,
            runner=runner,
            operator_ids=lambda: frozenset(operator_ids),
        ),
        "operator_ids": operator_ids,
        "managers": ManagerService(
            store=store,
            patterns=LinearPatterns(),
            limits=limits,
            caps=Caps(3, 10, 8),
            gateways=tuple(fakes),
            clock=clock,
            operator_ids=lambda: frozenset(operator_ids),
            wake=runner.wake,
        ),
        "plotter": plotter,
        "reports": ReportService(
            store=SqliteReports(folder / "gallop.db"),
            plotter=plotter,
            clock=clock,
            operator_ids=lambda: frozenset(operator_ids),
        ),
        "guild_doctor": GuildDoctor(store=store, guild_store=store, videos=service),
        "guild_jobs": GuildJobService(
            store=store,
            guild_store=store,
            library=library,
            clock=clock,
            operator_ids=lambda: frozenset(operator_ids),
            wake=runner.wake,
        ),
        "settings": SettingsService(
            store=store,
            gateways=gateways(),
            operator_ids=lambda: frozenset(operator_ids),
            operator_retention_days=30,
            clock=clock,
            wake=runner.wake,
        ),
        "privacy": PrivacyService(store=store, guild_store=store, runner=runner, upkeep=upkeep, clock=clock),
        "personal": PersonalService(store=store, guild_store=store, limits=limits, clock=clock),
        "upkeep": upkeep,
        "runner": runner,
        "gateways": fakes,
        "breakers": breakers,
        "library": library,
        "messenger": messenger,
        "clock": clock,
        "cdn": envs,
    }
