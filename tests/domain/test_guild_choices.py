"""What managers choose for their guild: each choice is checked, written with its act, and two lose nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.adapters.store.sqlite import SqliteStore, open_store
from bot.domain.errors import AmountRejected, ChangeProblem, ChangeRejected
from bot.domain.guild import Act, ActKind, Defaults, GuildField, GuildSettings
from bot.domain.guild_choices import SettingsService
from bot.domain.request import Resolution
from bot.domain.rules import Rule, Scope
from bot.domain.windows import TimeZone
from tests.fakes import FakeClock, capabilities

GUILD, OTHER_GUILD, MANAGER, OPERATOR = 7, 8, 11, 900
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
GATEWAYS = [
    capabilities("hiapi"),
    capabilities("shortapi", title="ShortAPI"),
    capabilities("pixeldojo", configured=False),
    capabilities("animatic", title="Animatic", prices={}, free=True, fetches_pictures=False),
]


@dataclass
class Scene:
    store: SqliteStore
    clock: FakeClock = field(default_factory=FakeClock)
    woken: int = 0

    def __post_init__(self) -> None:
        self.service = SettingsService(
            store=self.store,
            gateways=GATEWAYS,
            operator_ids=lambda: frozenset({OPERATOR}),
            operator_retention_days=30,
            clock=self.clock,
            wake=self._wake,
        )

    def _wake(self) -> None:
        self.woken += 1

    async def change(self, setting: GuildField, *chosen: str, guild_id: int = GUILD) -> GuildSettings:
        return (await self.service.change(guild_id, setting, chosen, actor_id=MANAGER)).settings

    async def acts(self) -> list[tuple[str, str, str]]:
        entries = await self.service.audit(GUILD, before_id=None, limit=100, user_id=None)
        return [(entry.subject, entry.before, entry.after) for entry in entries]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_store(tmp_path / "gallop.db") as store:
        yield Scene(store)


def changed(**changes: object) -> GuildSettings:
    return GuildSettings(GUILD, **changes)


def usual(**changes: object) -> GuildSettings:
    return GuildSettings(GUILD, defaults=Defaults(**changes))


@pytest.mark.parametrize(
    ("setting", "chosen", "settings"),
    [
        (GuildField.CHANNELS, ("31", "32"), changed(channel_ids=frozenset({31, 32}))),
        (GuildField.ROLES, ("41",), changed(role_ids=frozenset({41}))),
        (GuildField.PAUSED, ("paused",), changed(paused=True)),
        (GuildField.CONFIRM_ABOVE, (" $1.005 ",), changed(confirm_above_microusd=1_005_000)),
        (GuildField.CONFIRM_ABOVE, ("0",), changed(confirm_above_microusd=0)),
        (GuildField.RETENTION, ("1",), changed(retention_days=1)),
        (GuildField.RETENTION, ("30",), changed(retention_days=30)),
        (GuildField.AUDIT_CHANNEL, ("31",), changed(audit_channel_id=31)),
        (GuildField.RESOLUTION, ("1080p",), usual(resolution=Resolution.P1080)),
        (GuildField.DURATION, ("15",), usual(duration_s=15)),
        (GuildField.RATIO, ("9:16",), usual(ratio="9:16")),
        (GuildField.GATEWAY, ("hiapi",), usual(gateway="hiapi")),
        (GuildField.GATEWAY, ("animatic",), usual(gateway="animatic")),
        (
            GuildField.TIME_ZONE,
            ("Europe/London",),
            changed(time_zone=TimeZone("UTC", "Europe/London", DECEMBER)),
        ),
    ],
)
async def test_what_is_chosen_counts_is_written_down_once_and_nothing_chosen_is_the_default(
    scene: Scene, setting: GuildField, chosen: tuple[str, ...], settings: GuildSettings
) -> None:
    assert await scene.change(setting, *chosen) == settings
    assert await scene.change(setting, *chosen) == settings
    [(_, before, after)] = await scene.acts()
    assert before != after
    assert scene.woken == 2
    assert await scene.change(setting, " ") == GuildSettings(GUILD)
    assert [(was, now) for _, was, now in await scene.acts()] == [(after, before), (before, after)]


@pytest.mark.parametrize(
    ("setting", "chosen", "problem"),
    [
        (GuildField.TIME_ZONE, "Europe/Springfield", ChangeProblem.NO_SUCH_TIME_ZONE),
        (GuildField.TIME_ZONE, "UTC+2", ChangeProblem.NO_SUCH_TIME_ZONE),
        (GuildField.TIME_ZONE, "GMT+2", ChangeProblem.NO_SUCH_TIME_ZONE),
        (GuildField.TIME_ZONE, "localtime", ChangeProblem.NO_SUCH_TIME_ZONE),
        (GuildField.TIME_ZONE, "../../etc/passwd", ChangeProblem.NO_SUCH_TIME_ZONE),
        (GuildField.TIME_ZONE, "Nicosia", ChangeProblem.NO_SUCH_TIME_ZONE),
        (GuildField.RETENTION, "0", ChangeProblem.BAD_VALUE),
        (GuildField.RETENTION, "31", ChangeProblem.BAD_VALUE),
        (GuildField.RETENTION, "-1", ChangeProblem.BAD_VALUE),
        (GuildField.RETENTION, "1.5", ChangeProblem.BAD_VALUE),
        (GuildField.RETENTION, "٧", ChangeProblem.BAD_VALUE),
        (GuildField.RETENTION, "9" * 5_000, ChangeProblem.BAD_VALUE),
        (GuildField.DURATION, "2", ChangeProblem.BAD_VALUE),
        (GuildField.DURATION, "16", ChangeProblem.BAD_VALUE),
        (GuildField.RESOLUTION, "4k", ChangeProblem.BAD_VALUE),
        (GuildField.RATIO, "2:1", ChangeProblem.BAD_VALUE),
        (GuildField.GATEWAY, "pixeldojo", ChangeProblem.BAD_VALUE),
        (GuildField.CHANNELS, "general", ChangeProblem.BAD_VALUE),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    scene: Scene, setting: GuildField, chosen: str, problem: ChangeProblem
) -> None:
    with pytest.raises(ChangeRejected) as refused:
        await scene.change(setting, chosen)

    assert (refused.value.problem, refused.value.detail) == (problem, chosen)
    assert (await scene.service.choices(GUILD)).settings == GuildSettings(GUILD)
    assert await scene.acts() == []
    assert scene.woken == 0


@pytest.mark.parametrize("typed", ["-1", "$1,50", "five", "1e5"])
async def test_a_threshold_that_is_no_amount_is_refused(scene: Scene, typed: str) -> None:
    with pytest.raises(AmountRejected):
        await scene.change(GuildField.CONFIRM_ABOVE, typed)

    assert await scene.acts() == []


@pytest.mark.parametrize(
    ("typed", "zone"),
    [("europe/berlin", "Europe/Berlin"), ("Berlin", "Europe/Berlin"), ("new york", "America/New_York")],
)
async def test_a_zone_is_found_by_its_city_and_whatever_its_case(scene: Scene, typed: str, zone: str) -> None:
    assert (await scene.change(GuildField.TIME_ZONE, typed)).time_zone.next_name == zone


async def test_a_zone_counts_from_next_month_on_and_then_alone(scene: Scene) -> None:
    settings = await scene.change(GuildField.TIME_ZONE, "Europe/London")
    assert settings.time_zone == TimeZone("UTC", "Europe/London", DECEMBER)

    scene.clock.turn((DECEMBER - scene.clock.now()).total_seconds())

    assert (await scene.service.choices(GUILD)).settings.time_zone == TimeZone("Europe/London")


async def test_the_present_zone_takes_back_a_change_that_has_not_happened(scene: Scene) -> None:
    await scene.change(GuildField.TIME_ZONE, "Europe/London")

    assert (await scene.change(GuildField.TIME_ZONE, "UTC")).time_zone == TimeZone("UTC")


async def test_two_managers_at_once_change_different_settings_and_both_stay(scene: Scene) -> None:
    await asyncio.gather(
        scene.change(GuildField.CHANNELS, "31"),
        scene.change(GuildField.RESOLUTION, "1080p"),
        scene.change(GuildField.PAUSED, "paused"),
        scene.change(GuildField.CONFIRM_ABOVE, "2"),
        scene.service.allow_gateways(GUILD, ["hiapi"], actor_id=OPERATOR),
    )

    choices = await scene.service.choices(GUILD)
    assert choices.settings == GuildSettings(
        GUILD,
        channel_ids=frozenset({31}),
        paused=True,
        confirm_above_microusd=2_000_000,
        defaults=Defaults(resolution=Resolution.P1080),
    )
    assert choices.gateways == {"hiapi"}
    assert len(await scene.acts()) == 5


async def test_one_guild_changes_nothing_in_another(scene: Scene) -> None:
    await scene.service.set_paused(GUILD, paused=True, actor_id=MANAGER)
    await scene.service.allow_gateways(GUILD, ["hiapi"], actor_id=MANAGER)

    other = await scene.service.choices(OTHER_GUILD)
    assert other.settings == GuildSettings(OTHER_GUILD)
    assert other.gateways is None


async def test_allowed_gateways_leave_the_rest_of_the_pools_rule_as_it_is(scene: Scene) -> None:
    rule = Rule(Scope.POOL, month_microusd=50_000_000)
    await scene.store.set_rule(rule, act=Act(GUILD, MANAGER, scene.clock.now()))

    chosen = await scene.service.allow_gateways(GUILD, ["hiapi", "shortapi"], actor_id=MANAGER)
    every = await scene.service.allow_gateways(GUILD, [], actor_id=MANAGER)

    assert chosen.gateways == {"hiapi", "shortapi"}
    assert every.gateways is None
    assert await scene.store.rules(GUILD) == [rule]
    assert scene.woken == 2


@pytest.mark.parametrize("name", ["", "nobody", "pixeldojo"])
async def test_a_gateway_that_is_not_there_is_not_allowed(scene: Scene, name: str) -> None:
    with pytest.raises(ChangeRejected):
        await scene.service.allow_gateways(GUILD, ["hiapi", name], actor_id=MANAGER)

    assert await scene.store.rules(GUILD) == []


async def test_deleted_channels_are_forgotten_and_the_others_stay(scene: Scene) -> None:
    await scene.change(GuildField.CHANNELS, "31", "32", "33")

    choices = await scene.service.forget(GUILD, GuildField.CHANNELS, frozenset({32, 99}), actor_id=MANAGER)

    assert choices.settings.channel_ids == {31, 33}


async def test_a_pause_ends_as_often_as_it_is_ended(scene: Scene) -> None:
    await scene.service.set_paused(GUILD, paused=True, actor_id=MANAGER)
    for _ in range(2):
        choices = await scene.service.set_paused(GUILD, paused=False, actor_id=MANAGER)
        assert not choices.settings.paused

    assert len(await scene.acts()) == 2


async def test_an_act_knows_who_did_it_and_when(scene: Scene) -> None:
    await scene.change(GuildField.RATIO, "1:1")

    [entry] = await scene.service.audit(GUILD, before_id=None, limit=9, user_id=None)
    assert (entry.kind, entry.actor_id, entry.at) == (ActKind.SETTING_CHANGED, MANAGER, scene.clock.now())
    assert await scene.service.audit(OTHER_GUILD, before_id=None, limit=9, user_id=None) == []


@pytest.mark.parametrize("setting", [GuildField.CHANNELS, GuildField.ROLES])
async def test_what_another_manager_chooses_meanwhile_is_not_forgotten_with_the_deleted(
    scene: Scene, setting: GuildField
) -> None:
    await scene.change(setting, "9")

    await asyncio.gather(
        scene.service.forget(GUILD, setting, frozenset({9}), actor_id=MANAGER), scene.change(setting, "5")
    )

    settings = (await scene.service.choices(GUILD)).settings
    assert settings.channel_ids | settings.role_ids == {5}


async def test_only_channels_and_roles_are_forgotten(scene: Scene) -> None:
    with pytest.raises(ChangeRejected):
        await scene.service.forget(GUILD, GuildField.PAUSED, frozenset({9}), actor_id=MANAGER)

    assert await scene.acts() == []
