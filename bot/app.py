"""The composition root: opens the parts, wires them, runs them together, and closes them in reverse."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot import doctor, parts
from bot.adapters.clock import SystemClock
from bot.adapters.discord.client import GallopBot
from bot.adapters.media.library import FileLibrary
from bot.adapters.media.plots import KeptPlotter
from bot.adapters.store import backup
from bot.adapters.store.reports import SqliteReports, require_schema
from bot.adapters.store.sqlite import SqliteStore, is_running, open_store
from bot.config import Settings
from bot.deep_doctor import try_out
from bot.domain.auditing import AuditTeller
from bot.domain.charts import NoPicture
from bot.domain.errors import StartFailed, StoreFailed
from bot.domain.job import JobBook
from bot.domain.job_runner import JobRunner
from bot.domain.notices import Notices
from bot.domain.ports import Gateway
from bot.domain.pricing import Overbilled
from bot.domain.reporting import AskedPeriod, Made, PeriodRejected, ReportService
from bot.domain.upkeep import Upkeep
from bot.domain.video_service import VideoService
from bot.presentation.report_chart import chart_of
from bot.presentation.report_files import CSV_NAME, JSON_NAME, PICTURE_NAME, csv_file, json_file
from bot.presentation.report_text import no_picture, period_reply, report_table
from bot.presentation.unconfirmed import Patience
from bot.wiring import Wiring
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
    audit_teller: AuditTeller
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
        beside = [asyncio.create_task(part.run()) for part in (self.upkeep, self.notices, self.audit_teller)]
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
        wiring = Wiring(
            ground,
            bot,
            await parts.pictures(ground, stack),
            await _overbilled(ground.store),
            await _restored(ground.store),
        )
        patience = Patience.of(
            (gateway.capabilities for gateway in ground.gateways.values()), task_life_s=settings.task_life_s
        )
        await bot.add_cog(
            VideoCog(bot, wiring.service, privacy=wiring.privacy, personal=wiring.personal, library=ground.library)
        )
        await bot.add_cog(
            VideoAdminCog(
                bot,
                wiring.operating,
                patience,
                managers=wiring.managers,
                guild_jobs=wiring.guild_jobs,
                settings=wiring.settings,
                doctor=wiring.guild_doctor,
                reports=wiring.reports,
                titles={name: gateway.capabilities.title for name, gateway in ground.gateways.items()},
            )
        )
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
            wiring.audit_teller,
            ground.gateways,
            ground.library,
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


async def report(settings: Settings, asked: AskedPeriod, *, guild_id: int | None, folder: Path | None) -> list[str]:
    """Return the report of a guild or of the whole bot as lines; write its files where a folder is given.

    Raises:
        StartFailed: there is no such report, or its files cannot be written.
    """
    path = settings.database_path.resolve()
    _require_database(path)
    require_schema(path)
    async with AsyncExitStack() as stack:
        plotter = KeptPlotter(settings.data_dir / "fonts")
        stack.push_async_callback(plotter.aclose)
        service = ReportService(
            store=SqliteReports(path), plotter=plotter, clock=SystemClock(), operator_ids=frozenset[int]
        )
        try:
            made = await service.make(asked, guild_id=guild_id, with_loss=True, with_picture=folder is not None)
        except PeriodRejected as error:
            raise StartFailed(period_reply(error).replace("\n", " ")) from error
        except StoreFailed as error:
            raise StartFailed(f"The database {path} could not be read; the log says why.", 1) from error
        titles = await parts.gateway_titles(settings)
        lines = report_table(made.report, titles=titles)
        return lines if folder is None else [*lines, "", *await _write_report(made, service, titles, folder)]


async def _write_report(made: Made, service: ReportService, titles: Mapping[str, str], folder: Path) -> list[str]:
    """Write the files of a report; return what to say about them."""
    whose = "The whole bot" if made.report.guild_id is None else f"Server {made.report.guild_id}"
    picture = await service.draw(chart_of(made.report, title=(whose,), names={}, titles=titles))
    files = {CSV_NAME: csv_file(made.jobs), JSON_NAME: json_file(made.report, made_at=datetime.now(UTC))}
    if not isinstance(picture, NoPicture):
        files = {PICTURE_NAME: picture, **files}
    try:
        await asyncio.to_thread(_write_all, folder, files)
    except OSError as error:
        raise StartFailed(
            f"{folder} cannot be written ({error.strerror}): name another folder with --out.", 1
        ) from error
    written = [f"Written: {', '.join(str(folder / name) for name in files)}"]
    return [*written, no_picture(picture)] if isinstance(picture, NoPicture) else written


def _write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _require_database(path: Path) -> None:
    if not path.exists():
        raise StartFailed(
            f"There is no database at {path}: run this in the bot's folder, or set DATABASE_URL, for example "
            "DATABASE_URL=sqlite:////data/gallop.db"
        )


async def read_books(database_path: Path) -> list[JobBook]:
    async with open_store(database_path) as store:
        return await store.books()
