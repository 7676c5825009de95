"""A guild's settings and rules: changed one at a time, each change with its audit entry in the same operation."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.adapters.store.sqlite import open_store
from bot.domain.errors import StoreFailed
from bot.domain.guild import Act, ActKind, AuditEntry, Defaults, GuildField, GuildSettings
from bot.domain.quota import Spender
from bot.domain.request import Resolution
from bot.domain.rules import UNLIMITED, Rule, Scope
from bot.domain.windows import TimeZone
from tests.adapters.store_fixtures import CHANNEL, GUILD, LATER, NOW, OTHER_USER, SPENDER, USER

MANAGER, OTHER_MANAGER, OTHER_GUILD = 91, 92, 22
ACT = Act(GUILD, MANAGER, NOW)
NOTHING_SET = GuildSettings(GUILD)
NEXT_MONTH = datetime(2026, 12, 1, tzinfo=UTC)
BERLIN = TimeZone("UTC", "Europe/Berlin", NEXT_MONTH)
EVERYONE = Rule(Scope.EVERYONE, day_microusd=5_000_000)


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gallop.db") as opened:
        yield opened


async def acts(store, guild_id=GUILD):
    return list(reversed(await store.audit(guild_id, before_id=None, limit=100)))


async def told(store, guild_id=GUILD):
    """Return what the audit says: kind, subject, before, after."""
    return [(act.kind, act.subject, act.before, act.after) for act in await acts(store, guild_id)]


def changed(subject, before, after):
    return (ActKind.SETTING_CHANGED, subject, before, after)


async def test_a_guild_that_set_nothing_has_the_defaults(store):
    assert await store.guild(GUILD) == NOTHING_SET
    assert await store.every_retention() == {}


@pytest.mark.parametrize(
    ("field", "value", "settings", "said"),
    [
        (
            GuildField.TIME_ZONE,
            "Europe/Berlin",
            replace(NOTHING_SET, time_zone=BERLIN),
            ("time zone", "UTC", "UTC until 2026-12-01 00:00 UTC, then Europe/Berlin"),
        ),
        (
            GuildField.CONFIRM_ABOVE,
            2_000_000,
            replace(NOTHING_SET, confirm_above_microusd=2_000_000),
            ("confirmation above", "none", "$2.00"),
        ),
        (
            GuildField.CONFIRM_ABOVE,
            0,
            replace(NOTHING_SET, confirm_above_microusd=0),
            ("confirmation above", "none", "$0.00"),
        ),
        (GuildField.PAUSED, True, replace(NOTHING_SET, paused=True), ("pause", "off", "on")),
        (
            GuildField.CHANNELS,
            frozenset({2**63 - 1, 5}),
            replace(NOTHING_SET, channel_ids=frozenset({5, 2**63 - 1})),
            ("allowed channels", "every channel", f"channel 5, channel {2**63 - 1}"),
        ),
        (
            GuildField.ROLES,
            frozenset({7}),
            replace(NOTHING_SET, role_ids=frozenset({7})),
            ("allowed roles", "everyone", "role 7"),
        ),
        (
            GuildField.RESOLUTION,
            "1080p",
            replace(NOTHING_SET, defaults=Defaults(resolution=Resolution.P1080)),
            ("default resolution", "720p", "1080p"),
        ),
        (
            GuildField.DURATION,
            8,
            replace(NOTHING_SET, defaults=Defaults(duration_s=8)),
            ("default duration", "5 s", "8 s"),
        ),
        (
            GuildField.RATIO,
            "9:16",
            replace(NOTHING_SET, defaults=Defaults(ratio="9:16")),
            ("default ratio", "none", "9:16"),
        ),
        (
            GuildField.GATEWAY,
            "hiapi",
            replace(NOTHING_SET, defaults=Defaults(gateway="hiapi")),
            ("default gateway", "auto", "hiapi"),
        ),
        (
            GuildField.RETENTION,
            1,
            replace(NOTHING_SET, retention_days=1),
            ("retention", "the operator's", "1 day"),
        ),
        (
            GuildField.AUDIT_CHANNEL,
            31,
            replace(NOTHING_SET, audit_channel_id=31),
            ("audit channel", "none", "channel 31"),
        ),
    ],
)
async def test_a_setting_is_set_once_said_once_and_taken_back(store, field, value, settings, said):
    assert await store.change_guild(field, value, act=ACT) == settings
    assert await store.change_guild(field, value, act=ACT) == settings
    assert await store.guild(GUILD) == settings
    assert await told(store) == [changed(*said)]

    assert await store.change_guild(field, None, act=ACT) == NOTHING_SET
    assert await store.guild(GUILD) == NOTHING_SET
    subject, before, after = said
    assert await told(store) == [changed(*said), changed(subject, after, before)]


async def test_every_field_of_a_guild_can_be_changed_and_named(store):
    values = {
        GuildField.TIME_ZONE: "Asia/Tokyo",
        GuildField.PAUSED: True,
        GuildField.CHANNELS: frozenset({1}),
        GuildField.ROLES: frozenset({1}),
        GuildField.RESOLUTION: "1080p",
        GuildField.RATIO: "1:1",
        GuildField.GATEWAY: "hiapi",
    }
    for field in GuildField:
        await store.change_guild(field, values.get(field, 9), act=ACT)

    assert len({subject for _, subject, _, _ in await told(store)}) == len(GuildField)


async def test_a_guilds_settings_are_its_own(store):
    await store.change_guild(GuildField.RETENTION, 3, act=ACT)
    await store.change_guild(GuildField.RETENTION, 14, act=replace(ACT, guild_id=OTHER_GUILD))

    assert await store.every_retention() == {GUILD: 3, OTHER_GUILD: 14}
    assert await told(store, OTHER_GUILD) == [changed("retention", "the operator's", "14 days")]


async def test_an_act_says_who_did_it_and_when(store):
    await store.change_guild(GuildField.PAUSED, True, act=Act(GUILD, OTHER_MANAGER, LATER))

    assert await acts(store) == [
        AuditEntry(1, GUILD, ActKind.SETTING_CHANGED, OTHER_MANAGER, LATER, "pause", "off", "on")
    ]


@pytest.mark.parametrize(
    ("field", "value"), [(GuildField.DURATION, 0), (GuildField.RETENTION, -1), (GuildField.CONFIRM_ABOVE, -1)]
)
async def test_a_setting_that_the_schema_refuses_leaves_neither_a_change_nor_an_act(store, field, value):
    with pytest.raises(StoreFailed):
        await store.change_guild(field, value, act=ACT)

    assert await store.guild(GUILD) == NOTHING_SET
    assert await acts(store) == []


async def test_an_act_that_cannot_be_written_down_does_not_happen(store, monkeypatch):
    monkeypatch.setattr("bot.adapters.store.audit._RECORD", "INSERT INTO audit (guild_id) VALUES (:guild_id)")
    with pytest.raises(StoreFailed):
        await store.change_guild(GuildField.PAUSED, True, act=ACT)
    with pytest.raises(StoreFailed):
        await store.set_rule(EVERYONE, act=ACT)
    monkeypatch.undo()

    assert await store.guild(GUILD) == NOTHING_SET
    assert await store.rules(GUILD) == []
    assert await acts(store) == []


async def test_two_managers_who_change_different_settings_at_once_both_have_their_way(store):
    await asyncio.gather(
        store.change_guild(GuildField.CONFIRM_ABOVE, 1, act=ACT),
        store.change_guild(GuildField.RETENTION, 2, act=replace(ACT, actor_id=OTHER_MANAGER)),
        store.set_rule(replace(EVERYONE, day_microusd=None, week_videos=3), act=ACT),
        store.set_rule(EVERYONE, act=replace(ACT, actor_id=OTHER_MANAGER)),
    )

    assert await store.guild(GUILD) == replace(NOTHING_SET, confirm_above_microusd=1, retention_days=2)
    assert await store.rules(GUILD) == [replace(EVERYONE, week_videos=3)]
    assert len(await acts(store)) == 4


async def test_of_two_managers_who_set_the_same_at_once_one_is_in_the_audit(store):
    both = [store.change_guild(GuildField.PAUSED, True, act=Act(GUILD, actor, NOW)) for actor in (91, 92)]
    first, second = await asyncio.gather(*both)

    assert first == second == replace(NOTHING_SET, paused=True)
    assert [act.actor_id for act in await acts(store)] == [91]


async def test_setting_the_present_zone_again_takes_a_change_to_come_back(store):
    await store.change_guild(GuildField.TIME_ZONE, "Europe/Berlin", act=ACT)
    assert (await store.change_guild(GuildField.TIME_ZONE, "UTC", act=ACT)).time_zone == TimeZone()
    await store.change_guild(GuildField.TIME_ZONE, "UTC", act=ACT)

    coming = "UTC until 2026-12-01 00:00 UTC, then Europe/Berlin"
    assert await told(store) == [changed("time zone", "UTC", coming), changed("time zone", coming, "UTC")]


async def test_a_change_to_come_is_not_put_off_by_asking_for_it_again(store):
    await store.change_guild(GuildField.TIME_ZONE, "Pacific/Kiritimati", act=ACT)
    in_december = replace(ACT, at=NEXT_MONTH + timedelta(days=3))
    await store.change_guild(GuildField.TIME_ZONE, "Pacific/Pago_Pago", act=in_december)
    # It is January in Kiritimati already, in Pago Pago not yet.
    between = replace(ACT, at=datetime(2027, 1, 1, 5, tzinfo=UTC))
    settings = await store.change_guild(GuildField.TIME_ZONE, "Pacific/Pago_Pago", act=between)

    assert settings.time_zone.next_from == datetime(2027, 1, 1, 11, tzinfo=UTC)
    assert len(await acts(store)) == 2


async def test_a_change_that_has_happened_is_the_zone_that_is_left(store):
    await store.change_guild(GuildField.TIME_ZONE, "Europe/Berlin", act=ACT)
    in_december = replace(ACT, at=NEXT_MONTH + timedelta(days=3))
    await store.change_guild(GuildField.TIME_ZONE, "Europe/Berlin", act=in_december)
    await store.change_guild(GuildField.TIME_ZONE, "Asia/Tokyo", act=in_december)

    zone = (await store.guild(GUILD)).time_zone
    assert zone.at(in_december.at) == "Europe/Berlin"
    assert zone.at(datetime(2027, 1, 1, tzinfo=UTC)) == "Asia/Tokyo"
    assert [(before, after) for _, _, before, after in await told(store)][1:] == [
        ("Europe/Berlin", "Europe/Berlin until 2026-12-31 23:00 UTC, then Asia/Tokyo")
    ]


async def test_acts_of_before_the_audit_channel_are_not_told_there_and_its_own_is(store):
    await store.change_guild(GuildField.PAUSED, True, act=ACT)
    await store.change_guild(GuildField.PAUSED, True, act=replace(ACT, guild_id=OTHER_GUILD))
    assert await store.untold_acts(limit=9) == []
    await store.change_guild(GuildField.AUDIT_CHANNEL, 31, act=ACT)
    await store.change_guild(GuildField.PAUSED, False, act=ACT)

    untold = await store.untold_acts(limit=9)
    assert [act.subject for act in untold] == ["audit channel", "pause"]
    await store.note_act_told(untold[0].audit_id)
    assert await store.untold_acts(limit=9) == untold[1:]
    assert await store.untold_acts(limit=9, besides=[GUILD]) == []


async def test_acts_while_there_was_no_audit_channel_are_not_told_by_a_later_one(store):
    await store.change_guild(GuildField.AUDIT_CHANNEL, 31, act=ACT)
    await store.change_guild(GuildField.AUDIT_CHANNEL, None, act=ACT)
    await store.change_guild(GuildField.PAUSED, True, act=ACT)
    await store.change_guild(GuildField.AUDIT_CHANNEL, 32, act=ACT)

    assert [act.after for act in await store.untold_acts(limit=9)] == ["channel 32"]


async def test_a_rule_is_set_field_by_field(store):
    more = Rule(Scope.EVERYONE, week_videos=3, duration_max_s=10, resolutions=frozenset({"720p"}))
    assert await store.set_rule(EVERYONE, act=ACT) == EVERYONE
    whole = await store.set_rule(more, act=ACT)

    assert whole == replace(more, day_microusd=5_000_000)
    assert await store.rules(GUILD) == [whole]
    assert await told(store) == [
        (ActKind.RULE_SET, "everyone", "none", "$5.00 a day"),
        (ActKind.RULE_SET, "everyone", "$5.00 a day", "$5.00 a day, 3 videos a week, at most 10 s, 720p"),
    ]


async def test_a_rule_keeps_everything_it_says(store):
    rule = Rule(
        Scope.MEMBER, USER, 0, 1, UNLIMITED, 0, UNLIMITED, 10_000, UNLIMITED, UNLIMITED,
        frozenset({"1080p", "720p"}), frozenset({"hiapi", "shortapi"}), frozenset({"16:9", "1:1"}),
    )  # fmt: skip
    await store.set_rule(rule, act=ACT)

    assert await store.rules(GUILD) == [rule]
    [act] = await acts(store)
    assert (act.subject, act.user_id) == (f"member {USER}", USER)
    assert act.after == (
        "$0.00 a day, $0.000001 a week, any amount a month, 0 videos a day, any number of videos a week, "
        "10,000 videos a month, any number of jobs at once, any length, 720p or 1080p, hiapi or shortapi, 1:1 or 16:9"
    )


async def test_the_same_rule_again_is_no_act(store):
    await store.set_rule(EVERYONE, act=ACT)
    assert await store.set_rule(EVERYONE, act=ACT) == EVERYONE
    assert await store.set_rule(Rule(Scope.POOL), act=ACT) == Rule(Scope.POOL)

    assert len(await acts(store)) == 1
    assert await store.rules(GUILD) == [EVERYONE]


@pytest.mark.parametrize(
    "rule",
    [
        Rule(Scope.EVERYONE, day_microusd=-1),
        Rule(Scope.EVERYONE, 5, day_microusd=1),
        Rule(Scope.ROLE, 0, day_microusd=1),
        Rule(Scope.POOL, jobs_max=0),
        Rule(Scope.CHANNEL, CHANNEL, jobs_max=1),
        Rule(Scope.POOL, gateways=frozenset()),
    ],
)
async def test_a_rule_that_the_schema_refuses_leaves_no_act(store, rule):
    with pytest.raises(StoreFailed):
        await store.set_rule(rule, act=ACT)

    assert await store.rules(GUILD) == []
    assert await acts(store) == []


async def test_a_rule_is_cleared_field_by_field_and_is_gone_when_it_says_nothing(store):
    await store.set_rule(replace(EVERYONE, week_videos=3), act=ACT)
    assert not await store.clear_rule(Scope.EVERYONE, 0, fields=frozenset({"month_microusd"}), act=ACT)
    assert await store.clear_rule(Scope.EVERYONE, 0, fields=frozenset({"week_videos", "jobs_max"}), act=ACT)
    assert await store.rules(GUILD) == [EVERYONE]
    assert await store.clear_rule(Scope.EVERYONE, 0, fields=frozenset({"day_microusd"}), act=ACT)
    assert await store.rules(GUILD) == []
    assert not await store.clear_rule(Scope.EVERYONE, 0, fields=None, act=ACT)

    assert (await told(store))[1:] == [
        (ActKind.RULE_CLEARED, "everyone", "$5.00 a day, 3 videos a week", "$5.00 a day"),
        (ActKind.RULE_CLEARED, "everyone", "$5.00 a day", "none"),
    ]


async def test_a_rule_is_cleared_as_a_whole_and_no_other_is(store):
    others = [Rule(Scope.MEMBER, 7, day_videos=1), Rule(Scope.ROLE, 8, day_videos=1)]
    for rule in [*others, Rule(Scope.ROLE, 7, day_videos=1, ratios=frozenset({"1:1"}))]:
        await store.set_rule(rule, act=ACT)
    assert not await store.clear_rule(Scope.ROLE, 7, fields=None, act=replace(ACT, guild_id=OTHER_GUILD))
    assert await store.clear_rule(Scope.ROLE, 7, fields=None, act=ACT)

    assert await store.rules(GUILD) == others
    assert (await told(store))[-1] == (ActKind.RULE_CLEARED, "role 7", "1 video a day, 1:1", "none")


async def test_rules_come_in_the_order_of_what_counts_first(store):
    rules = [
        Rule(Scope.MEMBER, USER, day_videos=1),
        Rule(Scope.MEMBER, OTHER_USER, day_videos=2),
        Rule(Scope.ROLE, 7, day_videos=3),
        Rule(Scope.ROLE, 8, day_videos=4),
        Rule(Scope.EVERYONE, day_videos=5),
        Rule(Scope.CHANNEL, CHANNEL, day_videos=6),
        Rule(Scope.CHANNEL, CHANNEL + 1, day_videos=7),
        Rule(Scope.POOL, day_videos=8),
    ]
    for rule in reversed(rules):
        await store.set_rule(rule, act=ACT)
    await store.set_rule(Rule(Scope.POOL, day_videos=9), act=replace(ACT, guild_id=OTHER_GUILD))

    assert await store.rules(GUILD) == rules
    assert await store.rules_for(replace(SPENDER, role_ids=frozenset({8, 9}))) == [rules[n] for n in (0, 3, 4, 5, 7)]
    assert await store.rules_for(Spender(OTHER_USER, GUILD, 1)) == [rules[n] for n in (1, 4, 7)]
    assert await store.rules_for(Spender(USER)) == []
