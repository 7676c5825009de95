"""The composition root: opens the parts, wires them, runs them together, and closes them in reverse."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot import doctor, parts
from bot.adapters.callbacks import CallbackLinks
from bot.adapters.discord.client import GallopBot
from bot.adapters.discord.operators import OperatorMessenger
from bot.adapters.discord.places import Places
from bot.adapters.discord.posting import Posting
from bot.adapters.media.library import FileLibrary
from bot.adapters.store import backup
from bot.adapters.store.sqlite import SqliteStore, is_running, open_store
from bot.config import Settings
from bot.deep_doctor import try_out
from bot.domain.breakers import Breakers
from bot.domain.confirming import Confirmer
from bot.domain.errors import StartFailed
from bot.domain.job import JobBook
from bot.domain.job_runner import JobRunner
from bot.domain.job_views import JobViews
from bot.domain.notices import Notices
from bot.domain.offers import Serving
from bot.domain.operating import OperatorService
from bot.domain.ports import Gateway, Pictures
from bot.domain.pricing import Overbilled
from bot.domain.privacy import PrivacyService
from bot.domain.request_pace import RequestPace
from bot.domain.submitting import Submitter
from bot.domain.telling import Teller
from bot.domain.upkeep import Upkeep
from bot.domain.video_service import VideoService
from bot.domain.watching import Watcher
from bot.presentation.unconfirmed import Patience
from cogs.video import VideoCog
from cogs.video_admin import VideoAdminCog

log = logging.getLogger(__name__)

_OVERBILLED_NOTE = "overbilled"
_RESTORED_NOTE = "restored_at"


@dataclass(frozen=True, slots=True)
class App:
    """Everything that runs, opened and wired."""

    settings: Settings
    bot: GallopBot
    store: SqliteStore
    service: VideoService
    runner: JobRunner
    upkeep: Upkeep
    notices: Notices
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
        beside = [asyncio.create_task(self.upkeep.run()), asyncio.create_task(self.notices.run())]
        try:
            await asyncio.wait({connection, jobs, stopping, *beside}, return_when=asyncio.FIRST_COMPLETED)
            log.info("stopping")
            self.runner.stop()
            await jobs
            jobs_at_rest.set()
            await connection
            # They never end by themselves: what ended one is a fault that must be seen.
            await asyncio.gather(*(task for task in beside if task.done()))
        finally:
            for task in (*beside, jobs, connection):
                task.cancel()
            await asyncio.gather(*beside, jobs, connection, return_exceptions=True)


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[App]:
    """Open and wire everything; Discord is not talked to yet.

    Raises:
        StartFailed: one sentence says which setting, file or port cannot be used.
    """
    async with AsyncExitStack() as stack:
        ground = await parts.lay_ground(settings, stack)
        bot = GallopBot(api_url=settings.discord_api_url, http_trace=ground.metrics.discord_trace())
        stack.push_async_callback(bot.close)
        wiring = _Wiring(
            ground,
            bot,
            await parts.pictures(ground, stack),
            await _overbilled(ground.store),
            await _restored(ground.store),
        )
        patience = Patience.of(
            (gateway.capabilities for gateway in ground.gateways.values()), task_life_s=settings.task_life_s
        )
        await bot.add_cog(VideoCog(bot, wiring.service, privacy=wiring.privacy, library=ground.library))
        await bot.add_cog(VideoAdminCog(bot, wiring.operating, patience))
        await parts.open_web(
            ground, stack, breakers=wiring.breakers, wake=wiring.runner.wake, connected=bot.is_connected
        )
        yield App(
            settings,
            bot,
            ground.store,
            wiring.service,
            wiring.runner,
            wiring.upkeep,
            wiring.notices,
            ground.gateways,
            ground.library,
        )


class _Wiring:
    """The domain's objects, each given what it stands on. The public ones are what the cogs and the app use."""

    def __init__(
        self,
        ground: parts.Ground,
        bot: GallopBot,
        pictures: Pictures,
        overbilled: Overbilled,
        restored_at: datetime | None,
    ) -> None:
        self._ground, self._bot, self._overbilled = ground, bot, overbilled
        settings, store, gateways, clock = ground.settings, ground.store, ground.gateways, ground.clock
        self._paces = {
            name: RequestPace(gateway.capabilities.requests_per_min, clock) for name, gateway in gateways.items()
        }
        self._places, self._posting = Places(bot), Posting()
        self._messenger = parts.messenger(ground, self._places, self._posting, restored_at)
        self._views = JobViews(
            store=store, gateways=gateways, caps=settings.caps(), times=settings.watch_times(), clock=clock
        )
        self.breakers = Breakers(clock)
        self._submitter, self._watcher = self._make_submitter(), self._make_watcher()
        self._confirmer = self._make_confirmer(restored_at)
        self.runner = self._make_runner(restored_at)
        self.service = self._make_service(pictures)
        self.operating = self._make_operating()
        self.upkeep = Upkeep(
            store=store, library=ground.library, retention=timedelta(days=settings.retention_days), clock=clock
        )
        self.privacy = PrivacyService(store=store, runner=self.runner, upkeep=self.upkeep, clock=clock)
        self.notices = self._make_notices()

    def _operator_ids(self) -> frozenset[int]:
        return self._bot.operator_ids(self._ground.settings.operator_ids)

    def _make_submitter(self) -> Submitter:
        ground = self._ground
        return Submitter(
            store=ground.store,
            gateways=ground.gateways,
            library=ground.library,
            messenger=self._messenger,
            hosting=parts.hosting(ground, self._places, self._posting),
            views=self._views,
            overbilled=self._overbilled,
            breakers=self.breakers,
            callbacks=CallbackLinks(ground.settings.public_url),
            times=ground.settings.watch_times(),
            clock=ground.clock,
        )

    def _make_watcher(self) -> Watcher:
        ground = self._ground
        return Watcher(
            store=ground.store,
            gateways=ground.gateways,
            paces=self._paces,
            library=ground.library,
            views=self._views,
            overbilled=self._overbilled,
            measures=ground.metrics,
            times=ground.settings.watch_times(),
            clock=ground.clock,
        )

    def _make_confirmer(self, restored_at: datetime | None) -> Confirmer:
        ground = self._ground
        return Confirmer(
            store=ground.store,
            gateways=ground.gateways,
            paces=self._paces,
            submitter=self._submitter,
            watcher=self._watcher,
            breakers=self.breakers,
            times=ground.settings.watch_times(),
            clock=ground.clock,
            restored_at=restored_at,
        )

    def _make_runner(self, restored_at: datetime | None) -> JobRunner:
        ground = self._ground
        teller = Teller(
            store=ground.store,
            messenger=self._messenger,
            views=self._views,
            measures=ground.metrics,
            clock=ground.clock,
            started_at=ground.clock.now(),
            restored_at=restored_at,
        )
        return JobRunner(
            store=ground.store,
            gateways=ground.gateways,
            paces=self._paces,
            breakers=self.breakers,
            submitter=self._submitter,
            watcher=self._watcher,
            confirmer=self._confirmer,
            teller=teller,
            caps=ground.settings.caps(),
            times=ground.settings.watch_times(),
            clock=ground.clock,
        )

    def _make_service(self, pictures: Pictures) -> VideoService:
        ground = self._ground
        return VideoService(
            store=ground.store,
            gateways=ground.gateways,
            pictures=pictures,
            library=ground.library,
            messenger=self._messenger,
            runner=self.runner,
            views=self._views,
            serving=Serving(ground.settings.guild_ids, self._operator_ids),
            overbilled=self._overbilled,
            breakers=self.breakers,
            limits=ground.settings.limits(),
            clock=ground.clock,
        )

    def _make_operating(self) -> OperatorService:
        return OperatorService(
            store=self._ground.store,
            gateways=self._ground.gateways,
            views=self._views,
            watcher=self._watcher,
            confirmer=self._confirmer,
            runner=self.runner,
            operator_ids=self._operator_ids,
        )

    def _make_notices(self) -> Notices:
        ground = self._ground
        operators = OperatorMessenger(
            places=self._places,
            posting=self._posting,
            operator_ids=self._operator_ids,
            channel_id=ground.settings.operator_channel_id,
            clock=ground.clock,
        )
        return Notices(
            store=ground.store,
            operators=operators,
            breakers=self.breakers,
            overbilled=self._overbilled,
            library=ground.library,
            titles={name: gateway.capabilities.title for name, gateway in ground.gateways.items()},
            loss_microusd=ground.settings.loss_notice_microusd,
            clock=ground.clock,
        )


async def _overbilled(store: SqliteStore) -> Overbilled:
    return Overbilled(await store.note(_OVERBILLED_NOTE), lambda rows: store.set_note(_OVERBILLED_NOTE, rows))


async def _restored(store: SqliteStore) -> datetime | None:
    """Return when the database was last restored from a backup."""
    text = await store.note(_RESTORED_NOTE)
    return datetime.fromisoformat(text) if text else None


async def check_up(settings: Settings, *, deep: bool = False) -> list[doctor.Check]:
    """Run the doctor's checks with the parts that `run` would use; `deep` also tries what costs nothing."""
    async with AsyncExitStack() as stack:
        library = FileLibrary(settings.data_dir)
        gateways = parts.open_gateways(settings, library)
        for gateway in gateways.values():
            stack.push_async_callback(gateway.aclose)
        bot = GallopBot(api_url=settings.discord_api_url)
        stack.push_async_callback(bot.close)
        commands = frozenset({str(cog.__cog_group_name__) for cog in (VideoCog, VideoAdminCog)})
        checks = await doctor.check_up(
            settings, bot=bot, gateways=gateways.values(), library=library, commands=commands
        )
        if deep and bot.application is not None:
            checks += await try_out(settings, bot=bot, library=library)
        return checks


async def set_paused(settings: Settings, *, paused: bool) -> bool:
    """Turn the kill switch; a running bot sees it at its next submission. Says whether a bot runs on the database.

    Raises:
        StartFailed: there is no such database, so that no bot would see it.
    """
    path = settings.database_path.resolve()
    if "database_url" not in settings.model_fields_set:
        _require_database(path)
    async with open_store(path) as store:
        await store.set_paused(paused)
    return await asyncio.to_thread(is_running, path)


def back_up(settings: Settings, target: Path) -> None:
    """Copy the database to a new file, also while a bot runs on it.

    Raises:
        StartFailed: there is no backup.
    """
    path = settings.database_path.resolve()
    _require_database(path)
    backup.back_up(path, target)


def restore(settings: Settings, source: Path) -> Path | None:
    """Put a backup in the place of the database; return where the old one is kept, None where there was none.

    Raises:
        StartFailed: the old database is in its place.
    """
    return backup.restore(source, settings.database_path.resolve(), now=datetime.now(UTC))


def _require_database(path: Path) -> None:
    if not path.exists():
        raise StartFailed(
            f"There is no database at {path}: run this in the bot's folder, or set DATABASE_URL, for example "
            "DATABASE_URL=sqlite:////data/gallop.db"
        )


async def read_books(database_path: Path) -> list[JobBook]:
    async with open_store(database_path) as store:
        return await store.books()
