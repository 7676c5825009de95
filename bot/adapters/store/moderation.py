"""Who may not ask for videos in a guild, and which words no prompt may hold there."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bot.adapters.store.audit import record
from bot.adapters.store.connections import Connections
from bot.adapters.store.rows import at, at_or_none, kept, ms, ms_or_none
from bot.domain.act_words import block_words
from bot.domain.errors import ChangeProblem, ChangeRejected
from bot.domain.guild import PATTERNS_MAX, WORDS_MAX, Act, ActKind, Block, BlockedWord

BLOCK_COLUMNS = "user_id, until_ms, reason, actor_id, at_ms"
_HOLDS = "coalesce(until_ms, :now_ms + 1) > :now_ms"
BLOCKS = f"""
SELECT {BLOCK_COLUMNS} FROM blocks
WHERE guild_id = :guild_id AND {_HOLDS} ORDER BY at_ms DESC, user_id
"""  # noqa: S608 - fixed text
BLOCK_OF = f"""
SELECT {BLOCK_COLUMNS} FROM blocks
WHERE guild_id = :guild_id AND user_id = :user_id AND {_HOLDS}
"""  # noqa: S608 - fixed text
_PUT_BLOCK = "INSERT OR REPLACE INTO blocks VALUES (:guild_id, :user_id, :until_ms, :reason, :actor_id, :now_ms)"
_DELETE_BLOCK = "DELETE FROM blocks WHERE guild_id = :guild_id AND user_id = :user_id"
WORDS = "SELECT word, is_pattern, actor_id, at_ms FROM blocked_words WHERE guild_id = :guild_id ORDER BY at_ms, word"
_WORD = "SELECT is_pattern FROM blocked_words WHERE guild_id = :guild_id AND word = :word"
_ADD_WORD = "INSERT INTO blocked_words VALUES (:guild_id, :word, :is_pattern, :actor_id, :now_ms)"
_DELETE_WORD = "DELETE FROM blocked_words WHERE guild_id = :guild_id AND word = :word"


class Moderation(Connections):
    """The operations on blocks and on the blocklist. A block that has expired is as good as none."""

    async def block(self, *, user_id: int, until: datetime | None, reason: str, act: Act) -> Block:
        values = {**_about(act), "user_id": user_id, "until_ms": ms_or_none(until), "reason": reason}
        after = Block(user_id, None if until is None else kept(until), reason, act.actor_id, kept(act.at))

        def work(db: sqlite3.Connection) -> Block:
            before = _read_block(db, values)
            db.execute(_PUT_BLOCK, values)
            words = {"before": block_words(before), "after": block_words(after)}
            record(db, ActKind.BLOCKED, act, subject=_member(user_id), **words, user_id=user_id)
            return after

        return await self._write(work)

    async def unblock(self, *, user_id: int, act: Act) -> bool:
        values = {**_about(act), "user_id": user_id}

        def work(db: sqlite3.Connection) -> bool:
            before = _read_block(db, values)
            if before is None:
                return False
            db.execute(_DELETE_BLOCK, values)
            words = {"before": block_words(before), "after": block_words(None)}
            record(db, ActKind.UNBLOCKED, act, subject=_member(user_id), **words, user_id=user_id)
            return True

        return await self._write(work)

    async def blocks(self, guild_id: int, *, now: datetime) -> list[Block]:
        return [block_of(row) for row in await self._rows(BLOCKS, {"guild_id": guild_id, "now_ms": ms(now)})]

    async def block_of(self, *, user_id: int, guild_id: int, now: datetime) -> Block | None:
        rows = await self._rows(BLOCK_OF, {"guild_id": guild_id, "user_id": user_id, "now_ms": ms(now)})
        return block_of(rows[0]) if rows else None

    async def add_word(self, text: str, *, is_pattern: bool, act: Act) -> bool:
        """A word and a pattern of the same text are the same entry."""
        values = {**_about(act), "word": text, "is_pattern": is_pattern}

        def work(db: sqlite3.Connection) -> bool:
            there = [(word, bool(kind)) for word, kind, *_ in db.execute(WORDS, values)]
            if any(word == text or (word.casefold(), kind) == (text.casefold(), is_pattern) for word, kind in there):
                return False
            if sum(kind == is_pattern for _, kind in there) >= (PATTERNS_MAX if is_pattern else WORDS_MAX):
                full = f"{PATTERNS_MAX} patterns" if is_pattern else f"{WORDS_MAX} words"
                raise ChangeRejected(ChangeProblem.TOO_MANY_WORDS, full)
            db.execute(_ADD_WORD, values)
            record(db, ActKind.WORD_ADDED, act, subject=text, after=_kind_of_word(is_pattern))
            return True

        return await self._write(work)

    async def remove_word(self, text: str, *, act: Act) -> bool:
        values = {**_about(act), "word": text}

        def work(db: sqlite3.Connection) -> bool:
            row = db.execute(_WORD, values).fetchone()
            if row is None:
                return False
            db.execute(_DELETE_WORD, values)
            record(db, ActKind.WORD_REMOVED, act, subject=text, before=_kind_of_word(bool(row[0])))
            return True

        return await self._write(work)

    async def words(self, guild_id: int) -> list[BlockedWord]:
        return [
            BlockedWord(word, bool(is_pattern), actor_id, at(at_ms))
            for word, is_pattern, actor_id, at_ms in await self._rows(WORDS, {"guild_id": guild_id})
        ]


def block_of(row: Iterable[Any]) -> Block:
    """Build a block from its `BLOCK_COLUMNS`."""
    user_id, until_ms, reason, actor_id, at_ms = row
    return Block(user_id, at_or_none(until_ms), reason, actor_id, at(at_ms))


def _about(act: Act) -> dict[str, object]:
    return {"guild_id": act.guild_id, "actor_id": act.actor_id, "now_ms": ms(act.at)}


def _read_block(db: sqlite3.Connection, values: dict[str, object]) -> Block | None:
    row = db.execute(BLOCK_OF, values).fetchone()
    return block_of(row) if row else None


def _member(user_id: int) -> str:
    return f"member {user_id}"


def _kind_of_word(is_pattern: bool) -> str:
    return "pattern" if is_pattern else "word"
