"""Builds the single parts of the app from the settings; what stands on what is app.py's business."""

import logging
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from bot.adapters.callbacks import CallbackRoutes
from bot.adapters.clock import SystemClock
from bot.adapters.discord import attachments
from bot.adapters.discord.delivery import DiscordMessenger
from bot.adapters.discord.hosting import DiscordHosting, WebHosting
from bot.adapters.discord.places import Places
from bot.adapters.discord.posting import Posting
from bot.adapters.discord.uploads import MIB, UploadLimits, VideoFiles
from bot.adapters.gateways.animatic import Animatic
from bot.adapters.gateways.download import download
from bot.adapters.gateways.hiapi import HiApi
from bot.adapters.gateways.measured import MeasuredGateway
from bot.adapters.gateways.pixeldojo import PixelDojo
from bot.adapters.gateways.shortapi import ShortApi
from bot.adapters.health import HealthRoutes, Readiness, open_heartbeat
from bot.adapters.media import video
from bot.adapters.media.library import FileLibrary
from bot.adapters.media.pictures import PictureIntake
from bot.adapters.media.plots import KeptPlotter
from bot.adapters.media.render import render_to
from bot.adapters.metrics import Figures, Metrics
from bot.adapters.store.sqlite import SqliteStore, only_one, open_store
from bot.adapters.web import MediaLinks, MediaRoutes, WebServer, media_secret
from bot.config import AttachmentHost, Settings
from bot.domain.breakers import Breakers
from bot.domain.errors import StartFailed
from bot.domain.job import Job
from bot.domain.ports import Clock, Gateway, Hosting, Messenger
from bot.domain.request import ATTACHMENT_BYTES_MAX

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ground:
    """What everything else stands on. `links` is None without a public address."""

    settings: Settings
    clock: Clock
    store: SqliteStore
    probe: video.KeptProbe
    library: FileLibrary
    gateways: dict[str, Gateway]
    links: MediaLinks | None
    metrics: Metrics
    plotter: KeptPlotter


async def lay_ground(settings: Settings, stack: AsyncExitStack) -> Ground:
    """Open the database, the files and the gateways' clients; the stack closes them.

    Raises:
        StartFailed: one of them cannot be used.
    """
    clock = SystemClock()
    stack.enter_context(only_one(settings.database_path))
    metrics = Metrics(version=version("gallop"))
    store = await stack.enter_async_context(open_store(settings.database_path, observe=metrics.ledger_took))
    _require_folder(settings.data_dir)
    probe = video.KeptProbe()
    stack.push_async_callback(probe.aclose)
    library = FileLibrary(settings.data_dir, probe=probe)
    await library.tidy()
    gateways = open_gateways(settings, library)
    for name, gateway in gateways.items():
        stack.push_async_callback(gateway.aclose)
        if isinstance(gateway, PixelDojo) and gateway.capabilities.configured:
            await gateway.prepare()
        gateways[name] = MeasuredGateway(gateway, metrics.gateway_answered)
    links = None
    if settings.public_url is not None:
        links = MediaLinks(await media_secret(store), settings.public_url, clock)
    plotter = KeptPlotter(settings.data_dir / "fonts")
    stack.push_async_callback(plotter.aclose)
    return Ground(settings, clock, store, probe, library, gateways, links, metrics, plotter)


def open_gateways(settings: Settings, library: FileLibrary) -> dict[str, Gateway]:
    """Return every gateway by name, also those without a key: jobs of before still need their titles and reads."""
    made: list[Gateway] = [
        ShortApi(
            key=settings.shortapi_key,
            base_url=settings.shortapi_url,
            prices=settings.shortapi_prices(),
            requests_per_min=settings.shortapi_requests_per_min,
            task_life_s=settings.task_life_s,
        ),
        HiApi(
            key=settings.hiapi_key,
            base_url=settings.hiapi_url,
            signing_key=settings.hiapi_signing_key,
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


async def gateway_titles(settings: Settings) -> dict[str, str]:
    """Return what the gateways are called."""
    gateways = open_gateways(settings, FileLibrary(settings.data_dir))
    titles = {name: gateway.capabilities.title for name, gateway in gateways.items()}
    for gateway in gateways.values():
        await gateway.aclose()
    return titles


def _require_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise StartFailed(
            f"DATA_DIR={path} cannot be written ({error.strerror}): name a folder for the bot's files, "
            "for example DATA_DIR=data"
        ) from error


def messenger(ground: Ground, places: Places, posting: Posting, restored_at: datetime | None) -> Messenger:
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
        restored_at=restored_at,
    )


def hosting(ground: Ground, places: Places, posting: Posting) -> Hosting:
    if ground.settings.attachment_host is AttachmentHost.WEB and ground.links is not None:
        return WebHosting(ground.links)
    return DiscordHosting(
        places=places,
        posting=posting,
        library=ground.library,
        remember=ground.store.pictures_posted,
        staging_channel_id=ground.settings.staging_channel_id,
    )


async def pictures(ground: Ground, stack: AsyncExitStack) -> PictureIntake:
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


async def open_web(
    ground: Ground,
    stack: AsyncExitStack,
    *,
    breakers: Breakers,
    wake: Callable[[], None],
    connected: Callable[[], bool],
) -> None:
    """Listen where PUBLIC_URL needs it; else for health checks alone, which are not worth failing for.

    Raises:
        StartFailed: the port of a public address cannot be listened on.
    """
    settings, store, library, clock = ground.settings, ground.store, ground.library, ground.clock
    heartbeat = await stack.enter_async_context(open_heartbeat(clock, ground.metrics.loop_was_late))
    health = HealthRoutes(
        heartbeat=heartbeat,
        readiness=Readiness(connected=connected, store=store, library=library, clock=clock),
        figures=Figures(
            ground.metrics, store=store, library=library, breakers=breakers, gateways=ground.gateways.keys()
        ).text,
        public_url=settings.public_url,
    )
    routes = health.routes()
    if ground.links is not None:
        routes += MediaRoutes(library, ground.links).routes()
        routes += CallbackRoutes(store=store, gateways=ground.gateways, clock=clock, wake=wake).routes()
    server = WebServer(routes, host=settings.http_host, port=settings.http_port)
    stack.push_async_callback(server.aclose)
    try:
        await server.open()
    except StartFailed as error:
        if settings.public_url is not None:
            raise
        log.warning("no health check: %s", error.sentence)
