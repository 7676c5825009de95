"""The composition root: the only module that names concrete adapters; it opens, wires and closes them."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from bot import doctor
from bot.adapters.clock import SystemClock
from bot.adapters.discord import attachments
from bot.adapters.discord.client import GallopBot
from bot.adapters.discord.delivery import DiscordMessenger
from bot.adapters.discord.hosting import DiscordHosting, WebHosting
from bot.adapters.discord.places import Places
from bot.adapters.discord.posting import Posting
from bot.adapters.discord.uploads import MIB, UploadLimits, VideoFiles
from bot.adapters.gateways.animatic import Animatic
from bot.adapters.gateways.download import download
from bot.adapters.gateways.hiapi import HiApi
from bot.adapters.gateways.pixeldojo import PixelDojo
from bot.adapters.gateways.shortapi import ShortApi
from bot.adapters.media import video
from bot.adapters.media.library import FileLibrary
from bot.adapters.media.pictures import PictureIntake
from bot.adapters.media.render import render_to
from bot.adapters.store.sqlite import SqliteStore, is_running, only_one, open_store
from bot.adapters.web import MediaLinks, MediaRoutes, WebServer, media_secret
from bot.config import AttachmentHost, Settings
from bot.domain.errors import StartFailed
from bot.domain.job import Job, JobBook
from bot.domain.job_runner import JobRunner
from bot.domain.job_views import JobViews
from bot.domain.offers import Serving
from bot.domain.ports import Clock, Gateway, Hosting, Messenger
from bot.domain.pricing import Overbilled
from bot.domain.request import ATTACHMENT_BYTES_MAX
from bot.domain.request_pace import RequestPace
from bot.domain.submitting import Submitter
from bot.domain.telling import Teller
from bot.domain.video_service import VideoService
from bot.domain.watching import Watcher
from cogs.video import VideoCog

log = logging.getLogger(__name__)

_OVERBILLED_NOTE = "overbilled"
_PURGE_EVERY_S = 3_600.0


@dataclass(frozen=True, slots=True)
class App:
    """Everything that runs, opened and wired."""

    settings: Settings
    bot: GallopBot
    store: SqliteStore
    service: VideoService
    runner: JobRunner
    gateways: Mapping[str, Gateway]
    library: FileLibrary

    async def run(self, stop: asyncio.Event) -> None:
        """Log in, register the commands, and carry jobs until `stop` is set; then end cleanly.

        Submissions under way are awaited up to 60 s. Whatever else was going on continues at the next start.

        Raises:
            StartFailed: Discord cannot be used.
        """
        stopping = asyncio.create_task(stop.wait())
        entering = asyncio.create_task(self._enter())
        try:
            await asyncio.wait({entering, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if entering.done():
                await entering
                await self._carry(stopping)
        finally:
            for task in (stopping, entering):
                task.cancel()
            await asyncio.gather(stopping, entering, return_exceptions=True)

    async def _enter(self) -> None:
        await self.bot.log_in(self.settings.bot_token)
        await self.bot.sync_if_changed(self.store.note, self.store.set_note)

    async def _carry(self, stopping: "asyncio.Task[bool]") -> None:
        jobs_at_rest = asyncio.Event()
        connection = asyncio.create_task(self.bot.run_until(jobs_at_rest))
        jobs = asyncio.create_task(self.runner.run())
        purging = asyncio.create_task(self._purge_for_ever())
        try:
            await asyncio.wait({connection, jobs, stopping}, return_when=asyncio.FIRST_COMPLETED)
            log.info("stopping")
            self.runner.stop()
            await jobs
            jobs_at_rest.set()
            await connection
        finally:
            for task in (purging, jobs, connection):
                task.cancel()
            await asyncio.gather(purging, jobs, connection, return_exceptions=True)

    async def _purge_for_ever(self) -> None:
        """Delete pictures and videos past their retention, at start and every hour."""
        while True:
            try:
                before = datetime.now(UTC) - timedelta(days=self.settings.retention_days)
                count = await self.library.purge(before=before, keep=await self.store.files_in_use())
                if count:
                    log.info("files past their retention deleted count=%d", count)
            except Exception:
                log.exception("files past their retention not deleted; trying again in an hour")
            await asyncio.sleep(_PURGE_EVERY_S)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What everything else stands on."""

    settings: Settings
    clock: Clock
    store: SqliteStore
    probe: video.KeptProbe
    library: FileLibrary
    gateways: Mapping[str, Gateway]
    links: MediaLinks | None


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[App]:
    """Open and wire everything; Discord is not talked to yet.

    Raises:
        StartFailed: one sentence says which setting, file or port cannot be used.
    """
    async with AsyncExitStack() as stack:
        ground = await _lay_ground(settings, stack)
        await _open_web(ground, stack)
        bot = GallopBot(api_url=settings.discord_api_url)
        stack.push_async_callback(bot.close)
        places, posting = Places(bot), Posting()
        messenger = _messenger(ground, places, posting)
        views = JobViews(
            store=ground.store,
            gateways=ground.gateways,
            caps=settings.caps(),
            times=settings.watch_times(),
            clock=ground.clock,
        )
        overbilled = await _overbilled(ground.store)
        runner = _runner(ground, messenger, _hosting(ground, places, posting), views, overbilled)
        service = _service(
            ground,
            pictures=await _pictures(ground, stack),
            bot=bot,
            messenger=messenger,
            runner=runner,
            views=views,
            overbilled=overbilled,
        )
        await bot.add_cog(VideoCog(bot, service))
        yield App(settings, bot, ground.store, service, runner, ground.gateways, ground.library)


async def check_up(settings: Settings) -> list[doctor.Check]:
    """Run the doctor's checks with the parts that `run` would use."""
    async with AsyncExitStack() as stack:
        library = FileLibrary(settings.data_dir)
        gateways = open_gateways(settings, library)
        for gateway in gateways.values():
            stack.push_async_callback(gateway.aclose)
        bot = GallopBot(api_url=settings.discord_api_url)
        stack.push_async_callback(bot.close)
        commands = frozenset({str(VideoCog.__cog_group_name__)})
        return await doctor.check_up(settings, bot=bot, gateways=gateways.values(), library=library, commands=commands)


async def set_paused(settings: Settings, *, paused: bool) -> bool:
    """Turn the kill switch; a running bot sees it at its next submission. Says whether a bot runs on the database.

    Raises:
        StartFailed: there is no such database, so that no bot would see it.
    """
    path = await asyncio.to_thread(settings.database_path.resolve)
    if "database_url" not in settings.model_fields_set and not await asyncio.to_thread(path.exists):
        raise StartFailed(
            f"There is no database at {path}: run this in the bot's folder, or set DATABASE_URL, for example "
            "DATABASE_URL=sqlite:////data/gallop.db"
        )
    async with open_store(path) as store:
        await store.set_paused(paused)
    return await asyncio.to_thread(is_running, path)


async def read_books(database_path: Path) -> list[JobBook]:
    async with open_store(database_path) as store:
        return await store.books()


def open_gateways(settings: Settings, library: FileLibrary) -> dict[str, Gateway]:
    """Return every gateway by name, also those without a key: jobs of before still need their titles and reads."""
    made: list[Gateway] = [
        ShortApi(
            key=settings.shortapi_key,
            base_url=settings.shortapi_url,
            requests_per_min=settings.shortapi_requests_per_min,
            task_life_s=settings.task_life_s,
        ),
        HiApi(
            key=settings.hiapi_key,
            base_url=settings.hiapi_url,
            prices=settings.hiapi_prices(),
            requests_per_min=settings.hiapi_requests_per_min,
            task_life_s=settings.task_life_s,
        ),
        PixelDojo(
            key=settings.pixeldojo_key,
            base_url=settings.pixeldojo_url,
            prices=settings.pixeldojo_prices(),
            credit_usd=settings.pixeldojo_credit_usd,
            requests_per_min=settings.pixeldojo_requests_per_min,
            task_life_s=settings.task_life_s,
        ),
        Animatic(folder=settings.data_dir / "animatic", library=library, renderer=render_to),
    ]
    return {gateway.capabilities.gateway: gateway for gateway in made}


async def _lay_ground(settings: Settings, stack: AsyncExitStack) -> _Ground:
    clock = SystemClock()
    stack.enter_context(only_one(settings.database_path))
    store = await stack.enter_async_context(open_store(settings.database_path))
    _require_folder(settings.data_dir)
    probe = video.KeptProbe()
    stack.push_async_callback(probe.aclose)
    library = FileLibrary(settings.data_dir, probe=probe)
    gateways = open_gateways(settings, library)
    for gateway in gateways.values():
        stack.push_async_callback(gateway.aclose)
        if isinstance(gateway, PixelDojo) and gateway.capabilities.configured:
            await gateway.prepare()
    links = None
    if settings.public_url is not None:
        links = MediaLinks(await media_secret(store), settings.public_url, clock)
    return _Ground(settings, clock, store, probe, library, gateways, links)


def _require_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise StartFailed(
            f"DATA_DIR={path} cannot be written ({error.strerror}): name a folder for the bot's files, "
            "for example DATA_DIR=data"
        ) from error


async def _open_web(ground: _Ground, stack: AsyncExitStack) -> None:
    """Listen where PUBLIC_URL needs it; else for health checks alone, which are not worth failing for."""
    settings = ground.settings
    routes = MediaRoutes(ground.library, ground.links).routes() if ground.links is not None else []
    server = WebServer(routes, host=settings.http_host, port=settings.http_port)
    stack.push_async_callback(server.aclose)
    try:
        await server.open()
    except StartFailed as error:
        if settings.public_url is not None:
            raise
        log.warning("no health check: %s", error.sentence)


def _messenger(ground: _Ground, places: Places, posting: Posting) -> DiscordMessenger:
    def link(job: Job) -> str | None:
        return ground.links.video(job.video.name) if ground.links is not None and job.video is not None else None

    async def plays_inline(path: Path) -> bool:
        return video.plays_inline(await ground.probe(path))

    work_dir = ground.settings.data_dir / "fitted"
    work_dir.mkdir(parents=True, exist_ok=True)
    return DiscordMessenger(
        places=places,
        posting=posting,
        library=ground.library,
        limits=UploadLimits(ground.store, ground.clock, bytes_default=ground.settings.upload_mib * MIB),
        videos=VideoFiles(ground.library, work_dir=work_dir, fit=video.fit, plays_inline=plays_inline),
        clock=ground.clock,
        link=link,
    )


def _hosting(ground: _Ground, places: Places, posting: Posting) -> Hosting:
    if ground.settings.attachment_host is AttachmentHost.WEB and ground.links is not None:
        return WebHosting(ground.links)
    return DiscordHosting(
        places=places,
        posting=posting,
        library=ground.library,
        remember=ground.store.pictures_posted,
        staging_channel_id=ground.settings.staging_channel_id,
    )


async def _pictures(ground: _Ground, stack: AsyncExitStack) -> PictureIntake:
    client = httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
    await stack.enter_async_context(client)
    fetch = partial(
        download,
        gateway="discord",
        client=client,
        hosts=attachments.HOSTS,
        # A Discord on this machine hands out its own files.
        own_host=urlsplit(ground.settings.discord_api_url).hostname,
        bytes_max=ATTACHMENT_BYTES_MAX + 1,
        timeout_s=attachments.TIMEOUT_S,
        video=False,
    )
    return PictureIntake(fetch=attachments.AttachmentFetcher(fetch), library=ground.library)


async def _overbilled(store: SqliteStore) -> Overbilled:
    return Overbilled(await store.note(_OVERBILLED_NOTE), lambda rows: store.set_note(_OVERBILLED_NOTE, rows))


def _runner(
    ground: _Ground, messenger: Messenger, hosting: Hosting, views: JobViews, overbilled: Overbilled
) -> JobRunner:
    store, gateways, library, clock = ground.store, ground.gateways, ground.library, ground.clock
    times = ground.settings.watch_times()
    paces = {name: RequestPace(gateway.capabilities.requests_per_min, clock) for name, gateway in gateways.items()}
    submitter = Submitter(
        store=store,
        gateways=gateways,
        library=library,
        messenger=messenger,
        hosting=hosting,
        views=views,
        overbilled=overbilled,
        times=times,
        clock=clock,
    )
    watcher = Watcher(
        store=store,
        gateways=gateways,
        paces=paces,
        library=library,
        views=views,
        overbilled=overbilled,
        times=times,
        clock=clock,
    )
    teller = Teller(store=store, messenger=messenger, views=views, clock=clock, started_at=clock.now())
    return JobRunner(
        store=store,
        gateways=gateways,
        paces=paces,
        submitter=submitter,
        watcher=watcher,
        teller=teller,
        caps=ground.settings.caps(),
        times=times,
        clock=clock,
    )


def _service(
    ground: _Ground,
    *,
    pictures: PictureIntake,
    bot: GallopBot,
    messenger: Messenger,
    runner: JobRunner,
    views: JobViews,
    overbilled: Overbilled,
) -> VideoService:
    settings = ground.settings
    return VideoService(
        store=ground.store,
        gateways=ground.gateways,
        pictures=pictures,
        library=ground.library,
        messenger=messenger,
        runner=runner,
        views=views,
        serving=Serving(settings.guild_ids, lambda: bot.operator_ids(settings.operator_ids)),
        overbilled=overbilled,
        limits=settings.limits(),
        clock=ground.clock,
    )
