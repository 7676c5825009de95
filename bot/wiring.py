"""Wires the domain's objects: each is given what it stands on."""

from datetime import datetime, timedelta

from bot import parts
from bot.adapters.callbacks import CallbackLinks
from bot.adapters.discord.audit import AuditChannels
from bot.adapters.discord.client import GallopBot
from bot.adapters.discord.operators import OperatorMessenger
from bot.adapters.discord.places import Places
from bot.adapters.discord.posting import Posting
from bot.adapters.patterns import LinearPatterns
from bot.adapters.store.reports import SqliteReports
from bot.domain.auditing import AuditTeller
from bot.domain.breakers import Breakers
from bot.domain.confirming import Confirmer
from bot.domain.guild_choices import SettingsService
from bot.domain.guild_doctor import GuildDoctor
from bot.domain.guild_jobs import GuildJobService
from bot.domain.job_runner import JobRunner
from bot.domain.job_views import JobViews
from bot.domain.managing import ManagerService
from bot.domain.notices import Notices
from bot.domain.offers import Serving
from bot.domain.operating import OperatorService
from bot.domain.personal import PersonalService
from bot.domain.ports import Pictures
from bot.domain.pricing import Overbilled
from bot.domain.privacy import PrivacyService
from bot.domain.reporting import ReportService
from bot.domain.request_pace import RequestPace
from bot.domain.submitting import Submitter
from bot.domain.telling import Teller
from bot.domain.upkeep import Upkeep
from bot.domain.video_service import VideoService
from bot.domain.watching import Watcher


class Wiring:
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
        self._patterns = LinearPatterns()
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
            store=store,
            guild_store=store,
            library=ground.library,
            retention=timedelta(days=settings.retention_days),
            clock=clock,
        )
        self.personal = PersonalService(store=store, guild_store=store, limits=settings.limits(), clock=clock)
        self.privacy = PrivacyService(
            store=store, guild_store=store, runner=self.runner, upkeep=self.upkeep, clock=clock
        )
        self.notices = self._make_notices()
        self.audit_teller = AuditTeller(
            store=store, messenger=AuditChannels(places=self._places, posting=self._posting), clock=clock
        )
        self.managers = self._make_managers()
        self.guild_jobs = self._make_guild_jobs()
        self.reports = ReportService(
            store=SqliteReports(settings.database_path),
            plotter=ground.plotter,
            clock=clock,
            operator_ids=self._operator_ids,
        )
        self.settings = SettingsService(
            store=store,
            gateways=[gateway.capabilities for gateway in gateways.values()],
            operator_ids=self._operator_ids,
            operator_retention_days=settings.retention_days,
            clock=clock,
            wake=self._wake,
        )
        self.guild_doctor = GuildDoctor(store=store, guild_store=store, videos=self.service)

    def _operator_ids(self) -> frozenset[int]:
        return self._bot.operator_ids(self._ground.settings.operator_ids)

    def _wake(self) -> None:
        """Managers did something: jobs may go on, and the act wants telling."""
        self.runner.wake()
        self.audit_teller.wake()

    def _make_submitter(self) -> Submitter:
        ground = self._ground
        return Submitter(
            store=ground.store,
            guild_store=ground.store,
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
            guild_store=ground.store,
            patterns=self._patterns,
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

    def _make_managers(self) -> ManagerService:
        return ManagerService(
            store=self._ground.store,
            patterns=self._patterns,
            limits=self._ground.settings.limits(),
            caps=self._ground.settings.caps(),
            gateways=tuple(self._ground.gateways),
            clock=self._ground.clock,
            operator_ids=self._operator_ids,
            wake=self._wake,
        )

    def _make_guild_jobs(self) -> GuildJobService:
        return GuildJobService(
            store=self._ground.store,
            guild_store=self._ground.store,
            library=self._ground.library,
            clock=self._ground.clock,
            operator_ids=self._operator_ids,
            wake=self._wake,
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
