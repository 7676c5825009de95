"""What managers read after an act of theirs: what counts from now on, and what stands above it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from bot.domain.act_words import rule_words
from bot.domain.clashes import AboveCap, AbovePool, BelowShorter, Ceiling, Clash, NothingCommon, RuleView
from bot.domain.guild import PATTERNS_MAX, WORDS_MAX, Block, BlockedWord, Grant
from bot.domain.managing import Granted
from bot.domain.money import show_usd
from bot.domain.quota import LimitKind
from bot.domain.rules import MONEY_FIELDS, VIDEO_FIELDS, Rule, Scope
from bot.presentation.markdown import harmless
from bot.presentation.words import WINDOW_EACH, capital, counted, listed, until

_CLASHES_SHOWN_MAX = 3
_FOUND_SHOWN_MAX = 10
_LEFT_TO = {
    Scope.MEMBER: "{whom} has what their roles have, else what everyone has.",
    Scope.ROLE: "Its members have what their other roles have, else what everyone has.",
    Scope.EVERYONE: "Members without a rule of their own or of a role have only the operator's limits.",
    Scope.CHANNEL: "{whom} has no limits of its own any more.",
    Scope.POOL: "What all spend together has only the operator's limit.",
}


def subject_words(rule: Rule) -> str:
    """Name whom a rule is for, as Discord shows it."""
    match rule.scope:
        case Scope.MEMBER:
            return f"<@{rule.subject_id}>"
        case Scope.ROLE:
            return f"<@&{rule.subject_id}>"
        case Scope.CHANNEL:
            return f"<#{rule.subject_id}>"
        case Scope.EVERYONE:
            return "everyone"
        case Scope.POOL:
            return "this server's pool"


def rule_set_text(view: RuleView) -> str:
    """Return the whole rule as it counts now, and what keeps it from its effect."""
    against = standing_against(view, above=above_words(view.ceilings))
    return "\n".join((f"From now on {_has(view.rule)}: {rule_words(view.rule)}.", *against))


def _has(rule: Rule) -> str:
    match rule.scope:
        case Scope.MEMBER:
            return f"{subject_words(rule)} has"
        case Scope.ROLE:
            return f"each member with {subject_words(rule)} has"
        case Scope.EVERYONE:
            return "each member has, unless a rule of their own or of a role says otherwise"
        case Scope.CHANNEL:
            return f"{subject_words(rule)} has, for all together"
        case Scope.POOL:
            return "this server has, for all together"


def rule_cleared_text(cleared: Rule, left: RuleView | None) -> str:
    """Return what counts after a rule, or one limit of it, was taken away; `left` is what it still says."""
    if left is not None:
        return rule_set_text(left)
    gone = (
        "The pool's rule is gone." if cleared.scope is Scope.POOL else f"The rule for {subject_words(cleared)} is gone."
    )
    return f"{gone} {_LEFT_TO[cleared.scope].format(whom=subject_words(cleared))}"


def standing_against(view: RuleView, *, above: str) -> Iterator[str]:
    """Yield a line for each thing that gives a rule less effect than it says; `above` is said of lower ceilings."""
    if any(getattr(view.rule, name) == 0 for name in (*MONEY_FIELDS.values(), *VIDEO_FIELDS.values())):
        yield "With a limit of 0 only free previews can be made."
    yield from (capital(_clash_words(clash)) for clash in view.clashes[:_CLASHES_SHOWN_MAX])
    if len(view.clashes) > _CLASHES_SHOWN_MAX:
        yield f"And {counted(len(view.clashes) - _CLASHES_SHOWN_MAX, 'more contradiction')}."
    if view.ceilings:
        yield above


def _clash_words(clash: Clash) -> str:
    match clash:
        case BelowShorter():
            longer, shorter = _field_words(clash.field, clash.value), _field_words(clash.shorter, clash.shorter_value)
            return f"{longer} is less than {shorter}, so the second never counts."
        case AbovePool():
            ours, pool = _field_words(clash.field, clash.value), _field_words(clash.field, clash.pool_value)
            return f"{ours} is more than the pool's {pool}, so the pool's counts."
        case NothingCommon():
            what = "paid video" if clash.field == "gateways" else "video"
            thing = clash.field.removesuffix("s")
            if clash.other.scope is Scope.POOL:
                return f"No {thing} is allowed by both this and the pool: no {what} can be made."
            return f"No {thing} is allowed by both this and {subject_words(clash.other)}: no {what} can be made there."
        case AboveCap():
            whose = "each person" if clash.personal else "this server"
            return f"The operator's limit of {counted(clash.cap, 'job')} at once for {whose} stands above it."


def _field_words(field: str, value: int) -> str:
    return rule_words(replace(Rule(Scope.EVERYONE), **{field: value}))  # type: ignore[arg-type]


def above_words(ceilings: Sequence[Ceiling]) -> str:
    """Say which limits of the operator's stand above something; empty where none does."""
    if not ceilings:
        return ""
    if len(ceilings) == 1:
        return f"The operator's limit of {ceilings_words(ceilings)} stands above it."
    return f"The operator's limits stand above it: {ceilings_words(ceilings)}."


def ceilings_words(ceilings: Sequence[Ceiling]) -> str:
    """Return ``$5.00 a day and $50.00 a month for each person, $100.00 a month for this server``."""
    whose = {LimitKind.USER: "for each person", LimitKind.GUILD: "for this server"}
    parts = []
    for kind, words in whose.items():
        amounts = [
            f"{show_usd(ceiling.limit_microusd)} {WINDOW_EACH[ceiling.window]}"
            for ceiling in ceilings
            if ceiling.kind is kind
        ]
        parts += [f"{listed(amounts)} {words}"] if amounts else []
    return ", ".join(parts)


def granted_text(granted: Granted) -> str:
    """Return what a new grant gives, and what it does not lift."""
    grant = granted.grant
    what = f"<@{grant.user_id}> can use {show_usd(grant.amount_microusd)} {until(grant.expires_at)}"
    lines = [f"{what}, where their limits on this server leave too little. It lifts no pool and no channel's limit."]
    if not granted.needed:
        lines.append("No rule of this server limits them now, so nothing is taken from it until one does.")
    if granted.ceilings:
        lines.append(above_words(granted.ceilings))
    return "\n".join(lines)


def grant_ended_text(grant: Grant) -> str:
    """Return what of an ended grant was used; what is on hold of it stays paid by it."""
    unused = show_usd(grant.amount_microusd - grant.used_microusd)
    return f"The grant for <@{grant.user_id}> has ended; {unused} of {show_usd(grant.amount_microusd)} was not used."


def blocked_text(block: Block) -> str:
    end = until(block.until) if block.until is not None else "until somebody unblocks them"
    return (
        f"<@{block.user_id}> can make no videos on this server {end}.\n"
        "Videos of theirs in line are not made: the price is released when their turn comes. Those that a gateway has "
        "already go on."
    )


def unblocked_text(user_id: int) -> str:
    return f"<@{user_id}> can make videos on this server again."


def word_added_text(word: str, *, is_pattern: bool) -> str:
    if is_pattern:
        refused = f"prompts that fit the pattern {_shown(word)} are refused"
    else:
        refused = f"prompts with the word {_shown(word)} are refused, in capitals or not; other forms of it are not"
    return f"From now on {refused}. Members are not told which one it was."


def word_removed_text(word: str) -> str:
    return f"{_shown(word)} is allowed again."


def words_found_text(found: Sequence[BlockedWord]) -> str:
    """Return which words and patterns a text holds."""
    if not found:
        return "Nothing on the blocklist fits this text; the prompt would pass."
    names = [word_words(word) for word in found[:_FOUND_SHOWN_MAX]]
    more = [f"{len(found) - _FOUND_SHOWN_MAX} more"] if len(found) > _FOUND_SHOWN_MAX else []
    return f"This prompt would be refused: {listed([*names, *more])}."


def word_words(word: BlockedWord) -> str:
    return f"{'the pattern' if word.is_pattern else 'the word'} {_shown(word.text)}"


def _shown(word: str) -> str:
    return harmless(f"“{word}”")


def words_count_text(words: Collection[BlockedWord]) -> str:
    patterns = sum(word.is_pattern for word in words)
    return f"{len(words) - patterns} of {WORDS_MAX} words, {patterns} of {PATTERNS_MAX} patterns"
