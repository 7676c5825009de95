"""The judge of the stateful proof: looks at what is written about limits in the operation that writes it."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import product
from typing import Any

from bot.adapters.store.sqlite import SqliteStore
from bot.domain.errors import RequestRejected
from bot.domain.guild import Act, Block, Grant, GuildField, GuildSettings, PersonSettings
from bot.domain.job import Job
from bot.domain.quota import Limits, Spender
from bot.domain.request import Ask, Mode
from bot.domain.rules import Rule, Scope
from bot.domain.store import Opening
from tests.domain.stateful_quotas import Moment, Row, Wanted, ms, names_at, zone_at

_UNBOUND = 2**63
_SETS = ("resolutions", "gateways", "ratios")
_WINDOWS = ("day", "week", "month")
_NEW_GUILD = {
    "time_zone": "UTC",
    "next_time_zone": None,
    "next_time_zone_from_ms": None,
    "paused": 0,
    "channel_ids": "[]",
    "role_ids": "[]",
    "retention_days": None,
}

Tables = dict[str, dict[Any, dict[str, Any]]]
Work = Callable[[sqlite3.Connection], Any]


class Judge:
    """Lets nothing pass that the model forbids, and refuse nothing that it allows. It outlives the bot's process.

    `step` is the machine's. `commits` and `acts` say whether what an ask was measured against may have changed since.
    """

    def __init__(self) -> None:
        self.step = 0
        self.commits = 0
        self.acts = 0
        self.refused = 0
        self._gateways: dict[str, frozenset[str] | None] = {}
        self._begun: dict[int, tuple[int, int]] = {}
        self._tops: dict[tuple[int, int, str, str], int] = {}
        self._newest: dict[int, tuple[int, tuple[str, ...]]] = {}
        self._stopped: dict[tuple[int, int | None], int] = {}

    # Asking.

    def begin(self, ask: Ask) -> None:
        self._begun[ask.interaction_id] = self.commits, self.acts

    def _is_unchanged(self, interaction_id: int) -> bool:
        return self._begun.get(interaction_id) == (self.commits, self.acts)

    def check_answer(self, ask: Ask, refusal: RequestRejected, *, limits: Limits, now: datetime, db: Any) -> None:
        """Look at a refusal at the moment it is given; what was read for it may be older than a commit since."""
        if self._is_unchanged(ask.interaction_id):
            self.refused += 1
            place = ask.place
            wanted = Wanted(
                who=Spender(ask.user_id, place.guild_id, place.parent_id or place.channel_id, place.role_ids),
                price=0,
                gateway=ask.gateway or "",
                duration_s=ask.duration_s or 0,
                resolution=str(ask.resolution),
                ratio=None if ask.mode is Mode.IMAGE else "16:9",
                limits=limits,
                now=now,
            )
            Moment(db).check_refusal(wanted, refusal)

    def open(self, opening: Opening, db: sqlite3.Connection, work: Work) -> Job:
        """Let the store open a job, and look whether it should have."""
        if db.execute("SELECT 1 FROM jobs WHERE interaction_id = ?", (opening.interaction_id,)).fetchone():
            return work(db)
        moment, request = Moment(db), opening.request
        wanted = Wanted(
            who=Spender(opening.user_id, opening.guild_id, opening.parent_id or opening.channel_id, opening.role_ids),
            price=request.price_microusd,
            gateway=request.gateway,
            duration_s=request.duration_s,
            resolution=request.resolution.value,
            ratio=request.ratio,
            limits=opening.limits,
            now=opening.now,
        )
        try:
            job: Job = work(db)
        except RequestRejected as refusal:
            self.refused += 1
            moment.check_refusal(wanted, refusal)
            # It is looked at: what is written meanwhile has nothing to do with it.
            self._begun.pop(opening.interaction_id, None)
            raise
        self._check_opened(moment, wanted, exactly=self._is_unchanged(opening.interaction_id))
        self._check_terms(moment, wanted.who, _row(db, "SELECT * FROM jobs WHERE job_id = ?", job.job_id))
        if wanted.price:
            self._check_hold(moment, wanted, db, job.job_id)
        return job

    def _check_opened(self, moment: Moment, wanted: Wanted, *, exactly: bool) -> None:
        who = wanted.who
        assert not moment.is_paused
        assert not moment.is_guild_paused(who)
        assert not moment.is_blocked(who, wanted.now)
        forbidden = moment.forbidden(wanted)
        assert "gateway" not in forbidden, "opened for a gateway that rules forbid"
        if exactly:
            assert not forbidden, f"rules forbid {forbidden}"
            assert not moment.is_place_forbidden(who)
            assert not moment.is_role_forbidden(who)

    def _check_terms(self, moment: Moment, who: Spender, job: Row) -> None:
        """What rules say now counts for the job to its end."""
        gateways = moment.allowed(who, "gateways")
        assert job["gateways"] == (None if gateways is None else json.dumps(sorted(gateways)))
        assert (job["user_jobs_max"], job["guild_jobs_max"]) == moment.jobs_max(who)
        self._gateways[job["job_id"]] = gateways if job["price_microusd"] else None

    def _check_hold(self, moment: Moment, wanted: Wanted, db: sqlite3.Connection, job_id: str) -> None:
        """No limit stands in the way, grants pay what the person's own do not cover, and the windows are today's."""
        who, now = wanted.who, wanted.now
        stands = moment.stands(who, wanted.limits, now)
        against = [stand for stand in stands if stand.forbids(wanted.price)]
        assert not against, f"{wanted.price} opened past {against}"
        personal = [stand for stand in stands if stand.kind == "member"]
        granted = max((stand.beyond(wanted.price) for stand in personal), default=0)
        hold = _row(db, "SELECT * FROM ledger WHERE job_id = ? AND kind = 'hold'", job_id)
        assert hold["granted_microusd"] == granted
        expected = list(_taken(moment.open_grants(who.guild_id, who.user_id, now), granted))
        sql = "SELECT grant_id, amount_microusd FROM grant_uses WHERE job_id = ? ORDER BY position"
        assert [tuple(use) for use in db.execute(sql, (job_id,))] == expected
        names = names_at(now, "UTC")
        assert [hold[window] for window in _WINDOWS] == list(names.values())
        if who.guild_id is not None:
            assert hold["channel_id"] == who.channel_id
            in_guild = tuple(names_at(now, zone_at(moment.guilds.get(who.guild_id), now)).values())
            assert tuple(hold[f"guild_{window}"] for window in _WINDOWS) == in_guild
            self._check_time_goes_on(who.guild_id, ms(now), in_guild)
            limits = {(stand.window, stand.measure): stand.limit for stand in personal}
            for (window, name), measure in product(zip(_WINDOWS, in_guild, strict=True), ("microusd", "videos")):
                top = limits.get((window, measure))
                key = (who.guild_id, who.user_id, name, measure)
                self._tops[key] = max(self._tops.get(key, 0), _UNBOUND if top is None else top)

    def _check_time_goes_on(self, guild_id: int, now_ms: int, names: tuple[str, ...]) -> None:
        """Whatever becomes of the time zone, no window comes back; only a clock that was set back may bring one."""
        at_ms, before = self._newest.get(guild_id, (now_ms, names))
        went_back = any(name < earlier for name, earlier in zip(names, before, strict=True))
        assert not went_back or now_ms < at_ms, f"a window came back: {names} after {before}"
        self._newest[guild_id] = now_ms, names

    # What must hold at all times.

    def check_submission(self, job: Row, gateway: str, *, db: sqlite3.Connection, now: datetime) -> None:
        """No POST goes where the rules of its job forbid it, none is made for whom managers have stopped.

        That is looked at a little before the POST leaves: what came in the same step may have come between.
        """
        allowed, guild_id, user_id = self._gateways[job["job_id"]], job["guild_id"], job["user_id"]
        assert allowed is None or gateway in allowed, f"sent to {gateway}, rules allow {allowed}"
        sql = "SELECT 1 FROM blocks WHERE guild_id = ? AND user_id = ? AND (until_ms IS NULL OR until_ms > ?)"
        is_blocked = db.execute(sql, (guild_id, user_id, ms(now))).fetchone()
        assert not is_blocked or self._stopped[guild_id, user_id] == self.step, "sent for somebody who is blocked"
        is_paused = db.execute("SELECT 1 FROM guilds WHERE guild_id = ? AND paused = 1", (guild_id,)).fetchone()
        assert not is_paused or self._stopped[guild_id, None] == self.step, "sent for a guild that is paused"

    def check_used(self, moment: Moment, kept: list[Row]) -> None:
        """What the schema keeps of each window is what the holds in it take, and people stay within what they had."""
        rows = {tuple(row)[:4]: list(row)[4:] for row in kept}
        expected = moment.used
        assert {key: sums for key, sums in rows.items() if any(sums)} == {
            key: sums for key, sums in expected.items() if any(sums)
        }
        together: dict[str, dict[Any, list[int]]] = {"member": {}, "channel": {}, "pool": {}}
        for (guild_id, subject, user_id, window), sums in rows.items():
            if subject == "person":
                continue
            whole = together[subject].setdefault((guild_id, window), [0] * 5)
            for index, amount in enumerate(sums):
                whole[index] += amount
            if subject == "member":
                committed, _, granted, videos, granted_videos = sums
                for measure, net in (("microusd", committed - granted), ("videos", videos - granted_videos)):
                    top = self._tops.get((guild_id, user_id, window, measure), 0)
                    assert net <= top, f"{net} {measure} of {user_id} in {window}, never was more allowed than {top}"
        assert together["member"] == together["channel"] == together["pool"]
        assert {row["job_id"] for row in moment.money} <= self._gateways.keys(), "a hold that nobody judged"

    def check_grants(self, moment: Moment) -> None:
        """A grant is used as far as holds took of it and did not return, and never above its amount."""
        returned = moment.returned()
        taken: dict[int, int] = {}
        for use in moment.uses:
            assert use["returned_microusd"] == returned[use["job_id"], use["position"]]
            taken[use["grant_id"]] = taken.get(use["grant_id"], 0) + use["amount_microusd"] - use["returned_microusd"]
        for grant in moment.grants:
            assert taken.get(grant["grant_id"], 0) <= grant["amount_microusd"]

    # What managers and people decide: an act changes what it says and nothing else, and is in the audit if it does.

    @contextmanager
    def act(self, db: sqlite3.Connection, *, audited: bool | None = None) -> Iterator[tuple[Tables, Tables]]:
        """Give the tables as they are, and as they are to become: to be brought to what the act says.

        `audited` None: if it changes anything.
        """
        before, (audit,) = _tables(db), db.execute("SELECT count(*) FROM audit").fetchone()
        expected = {name: {key: dict(row) for key, row in rows.items()} for name, rows in before.items()}
        yield before, expected
        after, (audit_now,) = _tables(db), db.execute("SELECT count(*) FROM audit").fetchone()
        for name, rows in expected.items():
            assert after[name] == rows, f"{name} became {after[name]}, not {rows}"
        assert audit_now - audit == (after != before if audited is None else audited), "the audit does not tell of it"
        self.acts += 1

    def set_rule(self, rule: Rule, act: Act, db: sqlite3.Connection, work: Work) -> Rule:
        with self.act(db) as (_, tables):
            set_to: Rule = work(db)
            said = {name: value for name in _fields() if (value := getattr(rule, name)) is not None}
            key = act.guild_id, rule.scope.value, rule.subject_id
            tables["rules"][key] = tables["rules"].get(key, dict.fromkeys(_fields())) | said
            assert {name: getattr(set_to, name) for name in _fields()} == tables["rules"][key]
        return set_to

    def clear_rule(
        self, scope: Scope, subject_id: int, fields: frozenset[str] | None, act: Act, db: sqlite3.Connection, work: Work
    ) -> bool:
        with self.act(db) as (before, tables):
            cleared: bool = work(db)
            key = act.guild_id, scope.value, subject_id
            left = before["rules"].get(key, {}) | dict.fromkeys(fields or _fields())
            tables["rules"].pop(key, None)
            if any(value is not None for value in left.values()):
                tables["rules"][key] = left
            assert cleared == (tables != before)
        return cleared

    def change_guild(
        self, field: GuildField, value: Any, act: Act, db: sqlite3.Connection, work: Work
    ) -> GuildSettings:
        with self.act(db) as (_, tables):
            settings: GuildSettings = work(db)
            guild = tables["guilds"].setdefault(act.guild_id, dict(_NEW_GUILD))
            if field is GuildField.TIME_ZONE:
                self._check_zone(guild, value, act, db)
            elif field in {GuildField.CHANNELS, GuildField.ROLES}:
                guild[field.value] = json.dumps(sorted(value or ()))
            else:
                guild[field.value] = bool(value) if field is GuildField.PAUSED else value
            if guild == _NEW_GUILD:
                del tables["guilds"][act.guild_id]
            if field is GuildField.PAUSED:
                self._stopped[act.guild_id, None] = self.step
        return settings

    def _check_zone(self, guild: dict[str, Any], name: str | None, act: Act, db: sqlite3.Connection) -> None:
        """A new time zone counts when it is next month there and here, not before."""
        row = _row(db, "SELECT * FROM guilds WHERE guild_id = ?", act.guild_id)
        before = zone_at(guild, act.at)  # type: ignore[arg-type]
        assert zone_at(row, act.at) == before, "the time zone changed at once"
        wanted = name or "UTC"
        final = row["next_time_zone"] or row["time_zone"]
        assert final == wanted
        if row["next_time_zone"] is not None:
            from_ms = row["next_time_zone_from_ms"]
            assert from_ms > ms(act.at) or row["next_time_zone"] == guild["next_time_zone"]
        guild |= {key: row[key] for key in ("time_zone", "next_time_zone", "next_time_zone_from_ms")}

    def change_person(self, settings: PersonSettings, db: sqlite3.Connection, work: Work) -> Any:
        with self.act(db, audited=False) as (_, tables):
            changed = work(db)
            row = {f"{window}_microusd": getattr(settings, f"{window}_microusd") for window in _WINDOWS}
            tables["people"].pop(settings.user_id, None)
            if any(value is not None for value in row.values()):
                tables["people"][settings.user_id] = row
        return changed

    def add_grant(
        self, user_id: int, amount: int, expires_at: datetime, act: Act, db: sqlite3.Connection, work: Work
    ) -> Grant:
        with self.act(db) as (before, tables):
            grant: Grant = work(db)
            assert grant.grant_id not in before["grants"]
            tables["grants"][grant.grant_id] = {
                "guild_id": act.guild_id,
                "user_id": user_id,
                "amount_microusd": amount,
                "expires_at_ms": ms(expires_at),
            }
        return grant

    def end_grant(self, grant_id: int, act: Act, db: sqlite3.Connection, work: Work) -> Grant | None:
        with self.act(db) as (_, tables):
            ended: Grant | None = work(db)
            grant = tables["grants"].get(grant_id)
            is_open = grant is not None and grant["guild_id"] == act.guild_id and grant["expires_at_ms"] > ms(act.at)
            assert (ended is not None) == is_open
            if grant is not None and is_open:
                grant["expires_at_ms"] = ms(act.at)
        return ended

    def block(self, user_id: int, until: datetime | None, act: Act, db: sqlite3.Connection, work: Work) -> Block:
        with self.act(db, audited=True) as (_, tables):
            block: Block = work(db)
            row = {"until_ms": None if until is None else ms(until), "at_ms": ms(act.at)}
            tables["blocks"][act.guild_id, user_id] = row
            self._stopped[act.guild_id, user_id] = self.step
        return block

    def unblock(self, user_id: int, act: Act, db: sqlite3.Connection, work: Work) -> bool:
        with self.act(db) as (before, tables):
            unblocked: bool = work(db)
            block = before["blocks"].get((act.guild_id, user_id))
            held = block is not None and (block["until_ms"] is None or block["until_ms"] > ms(act.at))
            assert unblocked == held
            if held:
                del tables["blocks"][act.guild_id, user_id]
        return unblocked


class JudgedStore(SqliteStore):
    """The store, with the judge beside its writer."""

    def __init__(self, writer: Any, reader: Any, judge: Judge) -> None:
        super().__init__(writer, reader)
        self._judge = judge

    async def open_job(self, opening: Opening) -> Job:
        return await SqliteStore.open_job(self._judged(self._judge.open, opening), opening)

    async def set_rule(self, rule: Rule, *, act: Act) -> Rule:
        return await SqliteStore.set_rule(self._judged(self._judge.set_rule, rule, act), rule, act=act)

    async def clear_rule(self, scope: Scope, subject_id: int, *, fields: frozenset[str] | None, act: Act) -> bool:
        judged = self._judged(self._judge.clear_rule, scope, subject_id, fields, act)
        return await SqliteStore.clear_rule(judged, scope, subject_id, fields=fields, act=act)

    async def change_guild(self, field: GuildField, value: Any, *, act: Act) -> GuildSettings:
        judged = self._judged(self._judge.change_guild, field, value, act)
        return await SqliteStore.change_guild(judged, field, value, act=act)

    async def change_person(self, settings: PersonSettings) -> None:
        await SqliteStore.change_person(self._judged(self._judge.change_person, settings), settings)

    async def add_grant(
        self, *, user_id: int, amount_microusd: int, expires_at: datetime, reason: str, act: Act
    ) -> Grant:
        judged = self._judged(self._judge.add_grant, user_id, amount_microusd, expires_at, act)
        return await SqliteStore.add_grant(
            judged, user_id=user_id, amount_microusd=amount_microusd, expires_at=expires_at, reason=reason, act=act
        )

    async def end_grant(self, grant_id: int, *, act: Act) -> Grant | None:
        return await SqliteStore.end_grant(self._judged(self._judge.end_grant, grant_id, act), grant_id, act=act)

    async def block(self, *, user_id: int, until: datetime | None, reason: str, act: Act) -> Block:
        judged = self._judged(self._judge.block, user_id, until, act)
        return await SqliteStore.block(judged, user_id=user_id, until=until, reason=reason, act=act)

    async def unblock(self, *, user_id: int, act: Act) -> bool:
        return await SqliteStore.unblock(self._judged(self._judge.unblock, user_id, act), user_id=user_id, act=act)

    def _judged(self, look: Callable[..., Any], *what: Any) -> Any:
        """Return what the store's own method takes for itself: it hands what is to be written to the judge."""
        return _Judged(self, partial(look, *what))


class _Judged:
    def __init__(self, store: JudgedStore, look: Callable[[sqlite3.Connection, Work], Any]) -> None:
        self._store = store
        self._look = look

    async def _write(self, work: Work) -> Any:
        return await self._store._write(lambda db: self._look(db, work))

    async def _change(self, sql: str, parameters: Any) -> Any:
        return await self._write(lambda db: db.execute(sql, parameters).rowcount > 0)


def _row(db: sqlite3.Connection, sql: str, value: object) -> Row:
    row: Row = db.execute(sql, (value,)).fetchone()
    return row


def _taken(grants: Iterator[tuple[int, int]], amount: int) -> Iterator[tuple[int, int]]:
    """Yield what a hold takes of which grant."""
    for grant_id, left in grants:
        if amount and left:
            yield grant_id, min(left, amount)
            amount -= min(left, amount)


def _fields() -> list[str]:
    numbers = [f"{window}_{measure}" for measure in ("microusd", "videos") for window in _WINDOWS]
    return [*numbers, "jobs_max", "duration_max_s", *_SETS]


def _tables(db: sqlite3.Connection) -> Tables:
    """Return what was decided, as far as it bears on spending; what says nothing is left out."""
    rules = {
        (row["guild_id"], row["scope"], row["subject_id"]): {name: _said(row, name) for name in _fields()}
        for row in db.execute("SELECT * FROM rules")
    }
    guilds = {row["guild_id"]: {name: row[name] for name in _NEW_GUILD} for row in db.execute("SELECT * FROM guilds")}
    of_grant = ("guild_id", "user_id", "amount_microusd", "expires_at_ms")
    return {
        "rules": rules,
        "guilds": {guild_id: row for guild_id, row in guilds.items() if row != _NEW_GUILD},
        "people": {
            row["user_id"]: {f"{window}_microusd": row[f"{window}_microusd"] for window in _WINDOWS}
            for row in db.execute("SELECT * FROM people")
        },
        "grants": {
            row["grant_id"]: {name: row[name] for name in of_grant} for row in db.execute("SELECT * FROM grants")
        },
        "blocks": {
            (row["guild_id"], row["user_id"]): {"until_ms": row["until_ms"], "at_ms": row["at_ms"]}
            for row in db.execute("SELECT * FROM blocks")
        },
    }


def _said(row: Row, name: str) -> Any:
    return frozenset(json.loads(row[name])) if name in _SETS and row[name] is not None else row[name]
