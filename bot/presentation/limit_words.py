"""The words for one limit: whose it is, and what it leaves."""

from bot.domain.money import show_usd
from bot.domain.quota import LimitKind, Measure, Standing
from bot.domain.rules import Rule, Scope
from bot.presentation.words import WINDOW_EACH, WINDOW_NOW, counted, until

SHARED_BY_ALL = frozenset({LimitKind.POOL, LimitKind.GUILD})


def limit_source(standing: Standing) -> str:
    """Return where a limit comes from: "server rule for @Creators", "this server's pool", "the operator's limit"."""
    match standing.kind:
        case LimitKind.MEMBER:
            return _rule_source(standing.rule)
        case LimitKind.OWN:
            return "your own limit"
        case LimitKind.CHANNEL:
            return "this channel's rule"
        case LimitKind.POOL:
            return "this server's pool"
        case LimitKind.USER | LimitKind.GUILD | LimitKind.BOT:
            return "the operator's limit"


def source_behind(standing: Standing) -> str:
    """Return " (server rule for @Creators)" to stand behind `left_words`, or nothing where those name the limit."""
    named = standing.kind in {LimitKind.OWN, LimitKind.CHANNEL}
    return "" if named else f" ({limit_source(standing)})"


def _rule_source(rule: Rule | None) -> str:
    if rule is not None and rule.scope is Scope.MEMBER:
        return "server rule for you"
    if rule is not None and rule.scope is Scope.ROLE:
        return f"server rule for <@&{rule.subject_id}>"
    return "rule for everyone"


def forbids(standing: Standing) -> bool:
    """Say whether a limit of 0 is what stands in the way: it never frees up."""
    return standing.limit == 0 and not standing.available_microusd


def left_words(standing: Standing) -> str:
    """Return what a limit leaves: "you have $1.40 left until …", "this channel has made 3 of 3 videos this week"."""
    if forbids(standing):
        return _forbidding(standing)
    if standing.measure is Measure.VIDEOS:
        return f"{_who(standing)} made {_made(standing)} {WINDOW_NOW[standing.window]}"
    left, end = show_usd(standing.available_microusd or 0), until(standing.window_ends_at)
    if standing.kind is LimitKind.OWN:
        return f"your own limit of {show_usd(standing.limit or 0)} {WINDOW_EACH[standing.window]} leaves {left} {end}"
    return f"{_who(standing)} {left} left {end}"


def _forbidding(standing: Standing) -> str:
    match standing.kind:
        case LimitKind.OWN:
            return f"your own limit of $0.00 {WINDOW_EACH[standing.window]} allows no paid videos"
        case LimitKind.CHANNEL:
            return "paid videos are not open in this channel"
        case LimitKind.POOL | LimitKind.GUILD:
            return "paid videos are not open on this server"
        case _:
            return "paid videos are not open to you here"


def _who(standing: Standing) -> str:
    if standing.kind.is_personal:
        return "you have"
    return "this server has" if standing.kind in SHARED_BY_ALL else "this channel has"


def _made(standing: Standing) -> str:
    return f"{standing.committed - standing.granted:,} of {counted(standing.limit or 0, 'video')}"
