"""What limits and rules say, worked out anew from the rows of one moment: a model without the bot's code."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from bot.domain.errors import (
    Blocked,
    ChannelRejected,
    GatewayRejected,
    OptionRejected,
    Paused,
    QuotaExceeded,
    RequestRejected,
    RoleRejected,
    Unavailable,
)
from bot.domain.quota import Limits, Spender, Standing

# Every hold with what became of it. `used`: what it still takes of the windows of people and guilds; `spent`: of the
# operator's ceilings, which a refund by somebody else leaves as they are.
MONEY = """
SELECT *, iif(is_open, held, coalesce(settled, 0) - coalesce(refunded, 0)) AS used,
    iif(is_open, held, coalesce(settled, 0) - iif(by_operator, coalesce(refunded, 0), 0)) AS spent
FROM (
    SELECT hold.job_id, hold.user_id, hold.guild_id, hold.channel_id, hold.day, hold.week, hold.month, hold.guild_day,
        hold.guild_week, hold.guild_month, hold.granted_microusd AS granted,
        hold.amount_microusd AS held,
        settle.amount_microusd AS settled,
        release.amount_microusd AS released,
        refund.amount_microusd AS refunded,
        refund.actor_id AS refunded_by,
        refund.by_operator,
        settle.job_id IS NULL AND release.job_id IS NULL AS is_open
    FROM main.ledger AS hold
    LEFT JOIN main.ledger AS settle ON settle.job_id = hold.job_id AND settle.kind = 'settle'
    LEFT JOIN main.ledger AS release ON release.job_id = hold.job_id AND release.kind = 'release'
    LEFT JOIN main.ledger AS refund ON refund.job_id = hold.job_id AND refund.kind = 'refund'
    WHERE hold.kind = 'hold'
)
"""
_WINDOWS = ("day", "week", "month")
_MEASURES = ("microusd", "videos")
_NO_LIMIT = 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING = (0, 0, 0, 0, 0)

Row = sqlite3.Row
# Guild, subject, its id, and the name of a window.
Key = tuple[int, str, int, str]


def names_at(now: datetime, zone: str) -> dict[str, str]:
    """Return the name of the day, week and month that it is there."""
    there = now.astimezone(ZoneInfo(zone))
    year, week, _ = there.isocalendar()
    day = there.date().isoformat()
    return {"day": day, "week": f"{year}-W{week:02d}", "month": day[:7]}


def zone_at(guild: Row | None, now: datetime) -> str:
    """Return the time zone that counts in a guild; a new one may never find a day begun that has yet to begin there."""
    if guild is None:
        return "UTC"
    present, following = str(guild["time_zone"]), guild["next_time_zone"]
    if following is None:
        return present
    begins = _EPOCH + timedelta(milliseconds=guild["next_time_zone_from_ms"])
    if now >= begins:
        return str(following)
    is_ahead = names_at(now, present)["day"] > names_at(begins, following)["day"]
    return "UTC" if is_ahead else present


class Stand(NamedTuple):
    """Where somebody stands against one limit."""

    kind: str
    window: str
    measure: str
    limit: int | None
    committed: int
    on_hold: int
    granted: int
    grants_left: int

    @classmethod
    def of(cls, standing: Standing) -> "Stand":
        return cls(
            standing.kind.value,
            standing.window.value,
            "videos" if standing.measure.value == "videos" else "microusd",
            standing.limit,
            standing.committed,
            standing.on_hold,
            standing.granted,
            standing.grants_left_microusd,
        )

    def beyond(self, price: int) -> int:
        """Return how much of a price is beyond the limit."""
        if self.limit is None:
            return 0
        net = self.committed - self.granted
        if self.measure == "videos":
            return price if net >= self.limit else 0
        return max(0, price - max(0, self.limit - net))

    def forbids(self, price: int) -> bool:
        return self.beyond(price) > self.grants_left


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who wants to spend what, where and when."""

    who: Spender
    price: int
    gateway: str
    duration_s: int
    resolution: str
    ratio: str | None
    limits: Limits
    now: datetime


class Moment:
    """The rows of one moment that decide about money."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.money: Sequence[Row] = db.execute(MONEY).fetchall()
        self.bills = db.execute(
            "SELECT job_id, month, billed_microusd FROM attempts WHERE billed_microusd > 0"
        ).fetchall()
        self.uses = db.execute("SELECT * FROM grant_uses ORDER BY job_id, position").fetchall()
        self.grants = db.execute("SELECT * FROM grants ORDER BY expires_at_ms, grant_id").fetchall()
        self.guilds = {row["guild_id"]: row for row in db.execute("SELECT * FROM guilds")}
        self.people = {row["user_id"]: row for row in db.execute("SELECT * FROM people")}
        self.blocks = {(row["guild_id"], row["user_id"]): row for row in db.execute("SELECT * FROM blocks")}
        self.is_paused = bool(db.execute("SELECT 1 FROM switches WHERE name = 'paused'").fetchone())
        self._rules: defaultdict[int, dict[tuple[str, int], Row]] = defaultdict(dict)
        for row in db.execute("SELECT * FROM rules"):
            self._rules[row["guild_id"]][row["scope"], row["subject_id"]] = row

    @cached_property
    def used(self) -> dict[Key, list[int]]:
        """What is committed, on hold, granted, and how many videos, wholly granted ones among them, in each window."""
        used: defaultdict[Key, list[int]] = defaultdict(lambda: [0] * 5)
        for row in self.money:
            amounts = _amounts(row)
            for key in _keys(row):
                sums = used[key]
                for index, amount in enumerate(amounts):
                    sums[index] += amount
        return dict(used)

    @cached_property
    def committed(self) -> dict[tuple[str, int, str], list[int]]:
        """What the operator's ceilings count, and what of it is on hold."""
        expected: defaultdict[tuple[str, int, str], list[int]] = defaultdict(lambda: [0, 0])
        for row in self.money:
            on_hold = row["held"] if row["is_open"] else 0
            keys = [("user", row["user_id"], row["day"]), ("user", row["user_id"], row["month"])]
            if row["guild_id"] is not None:
                keys.append(("guild", row["guild_id"], row["month"]))
            for key in keys:
                expected[key][0] += row["spent"]
                expected[key][1] += on_hold
            expected["bot", 0, "open"][0] += on_hold
            expected["bot", 0, "open"][1] += on_hold
        for month, billed in self.billed_by_month().items():
            expected["bot", 0, month][0] += billed
        return dict(expected)

    def billed_by_month(self) -> Counter[str]:
        """What gateways billed for resolved jobs, as far as the bot knows."""
        is_open = {row["job_id"] for row in self.money if row["is_open"]}
        billed: Counter[str] = Counter()
        for job_id, month, microusd in self.bills:
            if job_id not in is_open:
                billed[month] += microusd
        return billed

    def returned(self) -> dict[tuple[str, int], int]:
        """What each use of a grant gave back: what a hold freed goes to the grants first, the last taken before."""
        freed = {row["job_id"]: row["held"] - row["used"] for row in self.money}
        returned = {}
        for use in reversed(self.uses):
            given = min(use["amount_microusd"], freed[use["job_id"]])
            freed[use["job_id"]] -= given
            returned[use["job_id"], use["position"]] = given
        return returned

    def open_grants(self, guild_id: int | None, user_id: int, now: datetime) -> Iterator[tuple[int, int]]:
        """Yield what each grant has left, the soonest to expire first."""
        for grant in self.grants:
            if (grant["guild_id"], grant["user_id"]) == (guild_id, user_id) and grant["expires_at_ms"] > ms(now):
                taken = sum(
                    use["amount_microusd"] - use["returned_microusd"]
                    for use in self.uses
                    if use["grant_id"] == grant["grant_id"]
                )
                yield grant["grant_id"], grant["amount_microusd"] - taken

    # Rules.

    def _of_person(self, who: Spender, column: str) -> list[Any]:
        """Return what the person's own rule says, else what their roles' say, else everyone's."""
        rules = self._rules[who.guild_id or 0]
        own, everyone = rules.get(("member", who.user_id)), rules.get(("everyone", 0))
        if own is not None and own[column] is not None:
            return [own[column]]
        roles = [rule for (scope, role_id), rule in rules.items() if scope == "role" and role_id in who.role_ids]
        said = [rule[column] for rule in roles if rule[column] is not None]
        return said or ([everyone[column]] if everyone is not None and everyone[column] is not None else [])

    def _of_place(self, who: Spender, scope: str, column: str) -> Any:
        rule = self._rules[who.guild_id or 0].get((scope, who.channel_id if scope == "channel" else 0))
        return None if rule is None else rule[column]

    def allowed(self, who: Spender, column: str) -> frozenset[str] | None:
        """Return the gateways, resolutions or ratios that all rules allow; None is all."""
        if who.guild_id is None:
            return None
        common: frozenset[str] | None = None
        of_person = [frozenset(json.loads(names)) for names in self._of_person(who, column)]
        of_place = [
            frozenset(json.loads(names))
            for scope in ("channel", "pool")
            if (names := self._of_place(who, scope, column)) is not None
        ]
        for names in ([frozenset().union(*of_person)] if of_person else []) + of_place:
            common = names if common is None else common & names
        return common

    def longest_s(self, who: Spender) -> int:
        bounds = [max(self._of_person(who, "duration_max_s"), default=_NO_LIMIT)]
        bounds += [self._of_place(who, scope, "duration_max_s") or _NO_LIMIT for scope in ("channel", "pool")]
        return min(bounds)

    def jobs_max(self, who: Spender) -> tuple[int | None, int | None]:
        """Return how many jobs rules let a person and the whole guild have in flight."""
        return max(self._of_person(who, "jobs_max"), default=None), self._of_place(who, "pool", "jobs_max")

    # Limits.

    def stands(self, who: Spender, limits: Limits, now: datetime) -> list[Stand]:
        """Return where somebody stands against every limit there is for them."""
        return [*self._decided(who, now), *self._ceilings(who, limits, now)]

    def _decided(self, who: Spender, now: datetime) -> Iterator[Stand]:
        person, utc = self.people.get(who.user_id), names_at(now, "UTC")
        for window in _WINDOWS if person is not None else ():
            if (limit := person[f"{window}_microusd"]) is not None:
                key = (0, "person", who.user_id, utc[window])
                yield self._stand("own", window, "microusd", limit, key)
        if who.guild_id is None or who.guild_id not in self._rules:
            return
        names = names_at(now, zone_at(self.guilds.get(who.guild_id), now))
        left = sum(left for _, left in self.open_grants(who.guild_id, who.user_id, now))
        for window in _WINDOWS:
            for measure in _MEASURES:
                column = f"{window}_{measure}"
                bound = max(self._of_person(who, column), default=None)
                places: list[tuple[str, int, Any]] = [("member", who.user_id, bound)]
                places.append(("channel", who.channel_id, self._of_place(who, "channel", column)))
                places.append(("pool", 0, self._of_place(who, "pool", column)))
                for kind, subject_id, limit in places:
                    if limit is not None:
                        key = (who.guild_id, kind, subject_id, names[window])
                        yield self._stand(kind, window, measure, limit, key, left)

    def _stand(self, kind: str, window: str, measure: str, limit: int, key: Key, left: int = 0) -> Stand:
        committed, on_hold, granted, videos, granted_videos = self.used.get(key, _NOTHING)
        if measure == "videos":
            committed, on_hold, granted = videos, 0, granted_videos
        is_personal = kind == "member"
        return Stand(
            kind,
            window,
            measure,
            None if limit >= _NO_LIMIT else limit,
            committed,
            on_hold,
            granted if is_personal else 0,
            left if is_personal else 0,
        )

    def _ceilings(self, who: Spender, limits: Limits, now: datetime) -> Iterator[Stand]:
        names, committed = names_at(now, "UTC"), self.committed
        places = [
            ("user", "day", limits.user_day_microusd, [("user", who.user_id, names["day"])]),
            ("user", "month", limits.user_month_microusd, [("user", who.user_id, names["month"])]),
            ("guild", "month", limits.guild_month_microusd, [("guild", who.guild_id, names["month"])]),
            ("bot", "month", limits.bot_month_microusd, [("bot", 0, names["month"]), ("bot", 0, "open")]),
        ]
        for kind, window, limit, keys in places:
            if kind != "guild" or who.guild_id is not None:
                sums = [committed.get(key, _NOTHING) for key in keys]  # type: ignore[call-overload]
                yield Stand(kind, window, "microusd", limit, sum(s[0] for s in sums), sum(s[1] for s in sums), 0, 0)

    # Verdicts.

    def is_blocked(self, who: Spender, now: datetime) -> bool:
        block = self.blocks.get((who.guild_id, who.user_id))
        return block is not None and (block["until_ms"] is None or block["until_ms"] > ms(now))

    def is_guild_paused(self, who: Spender) -> bool:
        return who.guild_id in self.guilds and bool(self.guilds[who.guild_id]["paused"])

    def is_place_forbidden(self, who: Spender) -> bool:
        channels = self._setting(who, "channel_ids")
        return bool(channels) and who.channel_id not in channels

    def is_role_forbidden(self, who: Spender) -> bool:
        roles = self._setting(who, "role_ids")
        return bool(roles) and not roles & who.role_ids

    def _setting(self, who: Spender, column: str) -> set[int]:
        return set(json.loads(self.guilds[who.guild_id][column])) if who.guild_id in self.guilds else set()

    def forbidden(self, wanted: Wanted) -> set[str]:
        """Return the options that rules forbid."""
        asked = [("resolution", wanted.resolution)] + ([("ratio", wanted.ratio)] if wanted.ratio else [])
        asked += [("gateway", wanted.gateway)] if wanted.price else []
        sets = {option: self.allowed(wanted.who, f"{option}s") for option, _ in asked}
        problems = {option for option, value in asked if (names := sets[option]) is not None and value not in names}
        if wanted.who.guild_id is not None and wanted.duration_s > self.longest_s(wanted.who):
            problems.add("duration")
        return problems

    def check_refusal(self, wanted: Wanted, refusal: RequestRejected) -> None:
        """Nobody is refused but by what stands in the way at that moment."""
        who, reason = wanted.who, repr(refusal)
        match refusal:
            case QuotaExceeded():
                assert refusal.needed_microusd == wanted.price or not wanted.price, reason
                against = [s for s in self.stands(who, wanted.limits, wanted.now) if s.forbids(refusal.needed_microusd)]
                assert Stand.of(refusal.standing) in against, f"{reason}: in the way is {against}"
            case Paused():
                assert self.is_guild_paused(who) if refusal.by_guild else self.is_paused, reason
            case Blocked():
                assert self.is_blocked(who, wanted.now), reason
            case ChannelRejected():
                assert self.is_place_forbidden(who), reason
            case RoleRejected():
                assert self.is_role_forbidden(who), reason
            case OptionRejected(by_rule=True):
                assert refusal.option in self.forbidden(wanted), reason
            case GatewayRejected(why=Unavailable.RULE):
                allowed = self.allowed(who, "gateways")
                assert allowed is not None, reason
                assert wanted.gateway not in allowed, reason
            case _:
                pass


def ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _amounts(row: Row) -> tuple[int, int, int, int, int]:
    """Return what a hold adds to each of its windows."""
    returned = min(row["granted"], row["held"] - row["used"])
    video = int(row["released"] is None)
    is_granted = video if row["granted"] == row["held"] else 0
    return row["used"], row["held"] if row["is_open"] else 0, row["granted"] - returned, video, is_granted


def _keys(row: Row) -> Iterator[Key]:
    """Yield every window that a hold is counted in."""
    user_id, guild_id = row["user_id"], row["guild_id"]
    for window in _WINDOWS:
        yield 0, "person", user_id, row[window]
    if guild_id is not None:
        for window in ("guild_day", "guild_week", "guild_month"):
            name = row[window]
            yield guild_id, "member", user_id, name
            yield guild_id, "channel", row["channel_id"], name
            yield guild_id, "pool", 0, name
