"""What managers and people decide at random in the stateful proof, and how the machine does it."""

import asyncio
from typing import Any

from hypothesis import strategies as st

from bot.domain.guild import Act, GuildField, PersonSettings
from bot.domain.quota import Spender
from bot.domain.rules import RULE_FIELDS, UNLIMITED, Rule, Scope
from tests.domain.world import OPERATOR, World

MANAGER = 800
GUILDS = (7, 8)
PEOPLE = (1, 2, 3)
# Five seconds at 720p cost 645,000, three 387,000.
_SUBJECTS = (
    *[(Scope.EVERYONE, 0)] * 4,
    (Scope.ROLE, 11),
    (Scope.ROLE, 12),
    # The role @everyone.
    (Scope.ROLE, 7),
    (Scope.MEMBER, 1),
    (Scope.MEMBER, 2),
    (Scope.CHANNEL, 50),
    (Scope.CHANNEL, 51),
    (Scope.POOL, 0),
)
_LIMITS: tuple[dict[str, Any], ...] = (
    {"day_microusd": 400_000},
    {"day_microusd": 1_000_000},
    {"month_microusd": 1_400_000},
    {"day_microusd": 1_400_000, "day_videos": 3},
    {"week_microusd": 2_000_000},
    {"week_microusd": 500_000, "month_microusd": 3_000_000},
    {"day_videos": 1},
    {"day_videos": 2, "week_microusd": UNLIMITED},
    {"week_videos": 2},
    {"month_videos": 3},
)
_SAYS: tuple[dict[str, Any], ...] = (
    *_LIMITS,
    {"day_microusd": 0},
    {"day_microusd": UNLIMITED, "day_videos": UNLIMITED},
    {"day_microusd": UNLIMITED, "month_microusd": 5_000_000},
    {"gateways": frozenset({"hiapi"})},
    {"gateways": frozenset({"shortapi"})},
    {"gateways": frozenset({"hiapi", "shortapi"}), "jobs_max": 1},
    {"jobs_max": 1},
    {"jobs_max": 5},
    {"duration_max_s": 5},
    {"resolutions": frozenset({"720p"})},
    {"ratios": frozenset({"1:1"})},
)
_RULES = st.tuples(st.sampled_from(_SUBJECTS), st.sampled_from(_SAYS))
_WHO = st.sampled_from(PEOPLE)
_GRANTS = st.tuples(
    _WHO, st.sampled_from([1, 300_000, 645_000, 2_000_000]), st.sampled_from(["20m", "1h", "1d", "30d"])
)
_ZONES = tuple(
    (GuildField.TIME_ZONE, zone) for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin", None)
)
_SETTINGS = (
    *[(GuildField.PAUSED, False)] * 3,
    (GuildField.PAUSED, True),
    *_ZONES,
    *[(GuildField.CHANNELS, frozenset[int]())] * 2,
    (GuildField.CHANNELS, frozenset({50})),
    *[(GuildField.ROLES, frozenset[int]())] * 2,
    (GuildField.ROLES, frozenset({11})),
    (GuildField.RETENTION, 1),
    (GuildField.RETENTION, None),
)
_OWN = (None, None, None, 0, 387_000, 700_000, 1_300_000)
_FIELDS = st.sampled_from([None, None, *RULE_FIELDS])
_BLOCKS = st.tuples(_WHO, st.sampled_from([None, "1m", "1h", "1d"]))
# The name of a method of `Managers`, and what it is given.
Deed = tuple[str, tuple[Any, ...]]
_SET_RULE = st.tuples(st.just("set_rule"), _RULES)
_GRANT = st.tuples(st.just("grant"), _GRANTS)
# What a guild has from the start: without limits, most of the rest means nothing.
_LIMIT_ALL = st.tuples(st.just("set_rule"), st.tuples(st.just((Scope.EVERYONE, 0)), st.sampled_from(_LIMITS)))
# The same limit for a person, two of their roles and everyone.
_PEOPLE = ((Scope.MEMBER, 1), (Scope.ROLE, 11), (Scope.ROLE, 12), (Scope.EVERYONE, 0))
_CONTRADICT = st.tuples(
    st.just("contradict"),
    st.sampled_from(
        [
            ("day_microusd", (1_000_000, 400_000, 2_000_000, None)),
            ("day_microusd", (400_000, 1_400_000, 700_000, 2_000_000)),
            ("week_microusd", (None, 700_000, 1_400_000, 400_000)),
            ("month_videos", (1, 3, 2, UNLIMITED)),
            ("day_videos", (UNLIMITED, 1, 2, 1)),
        ]
    ),
)
BEGINNINGS = st.tuples(
    st.lists(st.one_of(_LIMIT_ALL, _CONTRADICT), max_size=2),
    st.lists(_SET_RULE, max_size=3),
    st.lists(_GRANT, max_size=3),
    st.lists(st.tuples(st.just("change"), st.sampled_from(_ZONES)), max_size=1),
)
DEEDS = st.one_of(
    _SET_RULE,
    _CONTRADICT,
    st.tuples(st.just("clear_rule"), st.tuples(st.sampled_from(_SUBJECTS), _FIELDS)),
    _GRANT,
    st.tuples(st.just("end_grant"), st.tuples(st.integers(1, 4))),
    st.tuples(st.just("block"), _BLOCKS),
    st.tuples(st.just("unblock"), st.tuples(_WHO)),
    st.tuples(st.just("change"), st.sampled_from(_SETTINGS)),
    st.tuples(st.just("limit_themselves"), st.tuples(_WHO, *[st.sampled_from(_OWN)] * 3)),
)
ACTORS = st.sampled_from([MANAGER, MANAGER, OPERATOR])


class Managers:
    """Does what is decided in a guild, in one life of the process."""

    def __init__(self, world: World, guild_id: int, actor_id: int) -> None:
        self._world = world
        self._guild = {"guild_id": guild_id, "actor_id": actor_id}

    @property
    def act(self) -> Act:
        return Act(
            self._guild["guild_id"],
            self._guild["actor_id"],
            self._world.clock.now(),
            by_operator=self._guild["actor_id"] == OPERATOR,
        )

    async def do(self, deed: Deed, *, lag: int = 0) -> None:
        """Do it after so many turns of the loop."""
        for _ in range(lag):
            await asyncio.sleep(0)
        name, what = deed
        await getattr(self, name)(*what)

    async def set_rule(self, subject: tuple[Scope, int], says: dict[str, Any]) -> None:
        await self._world.managers.set_rule(Rule(*subject, **says), **self._guild)

    async def contradict(self, field: str, values: tuple[int | None, ...]) -> None:
        for subject, value in zip(_PEOPLE, values, strict=True):
            if value is not None:
                await self.set_rule(subject, {field: value})

    async def clear_rule(self, subject: tuple[Scope, int], field: str | None) -> None:
        await self._world.managers.clear_rule(*subject, field=field, **self._guild)

    async def grant(self, user_id: int, amount_microusd: int, expires: str) -> None:
        spender = Spender(user_id, self._guild["guild_id"])
        await self._world.managers.grant(
            spender, amount_microusd=amount_microusd, expires=expires, reason="a contest", **self._guild
        )

    async def end_grant(self, grant_id: int) -> None:
        await self._world.managers.end_grant(grant_id, **self._guild)

    async def block(self, user_id: int, until: str | None) -> None:
        await self._world.managers.block(user_id, until=until, reason="enough", **self._guild)

    async def unblock(self, user_id: int) -> None:
        await self._world.managers.unblock(user_id, **self._guild)

    async def change(self, field: GuildField, value: Any) -> None:
        await self._world.store.change_guild(field, value, act=self.act)
        self._world.runner.wake()

    async def limit_themselves(self, user_id: int, *amounts: int | None) -> None:
        settings = dict(zip(("day_microusd", "week_microusd", "month_microusd"), amounts, strict=True))
        await self._world.store.change_person(PersonSettings(user_id, **settings))
