"""Writes what was decided about a person, by themselves and by managers, for the document of their own data."""

from datetime import datetime
from typing import Any

from bot.domain.act_words import rule_words
from bot.domain.guild import AuditEntry, Block, Grant, PersonSettings
from bot.domain.guild_store import PersonFacts
from bot.domain.money import show_usd


def facts_document(facts: PersonFacts) -> dict[str, Any]:
    """Return the document's parts. Who decided is left out: that is about somebody else."""
    return {
        "settings": _settings(facts.settings) if facts.settings else None,
        "rules": [{"server_id": str(guild_id), "says": rule_words(rule)} for guild_id, rule in facts.rules],
        "grants": [_grant(grant) for grant in facts.grants],
        "blocks": [_block(guild_id, block) for guild_id, block in facts.blocks],
        "acts": [_act(act) for act in facts.acts],
    }


def _settings(settings: PersonSettings) -> dict[str, Any]:
    return {
        "asked_above": amount(settings.confirm_above_microusd),
        "day": amount(settings.day_microusd),
        "week": amount(settings.week_microusd),
        "month": amount(settings.month_microusd),
    }


def _grant(grant: Grant) -> dict[str, Any]:
    return {
        "server_id": str(grant.guild_id),
        "amount": amount(grant.amount_microusd),
        "used": amount(grant.used_microusd),
        "expires_at": time(grant.expires_at),
        "reason": grant.reason,
        "granted_at": time(grant.at),
    }


def _block(guild_id: int, block: Block) -> dict[str, Any]:
    return {
        "server_id": str(guild_id),
        "until": time(block.until),
        "reason": block.reason or None,
        "blocked_at": time(block.at),
    }


def _act(act: AuditEntry) -> dict[str, Any]:
    return {
        "server_id": str(act.guild_id),
        "what": act.kind.value,
        "subject": act.subject or None,
        "before": act.before or None,
        "after": act.after or None,
        "job_id": act.job_id,
        "at": time(act.at),
    }


def amount(microusd: int | None) -> dict[str, Any] | None:
    """Write an amount both ways, None as it is."""
    return None if microusd is None else {"usd": show_usd(microusd), "microusd": microusd}


def time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
