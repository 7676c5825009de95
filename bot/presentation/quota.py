"""What people see of their quota: the card with a bar for each limit, and the line when much of one is used."""

from collections.abc import Iterator, Sequence

from discord import ui

from bot.domain.guild import Grant
from bot.domain.money import show_usd
from bot.domain.personal import WhereIStand
from bot.domain.quota import LimitKind, Measure, Standing, narrowest
from bot.domain.rules import UNLIMITED, Rule, Scope, allowed_by, personal_bound, shared_bound
from bot.presentation.layout import Accent, Layout, boxed, text
from bot.presentation.limit_words import SHARED_BY_ALL, left_words, limit_source
from bot.presentation.markdown import shown
from bot.presentation.own_limits import asked_before, own_limit_buttons
from bot.presentation.words import DOT, WINDOW_NOW, capital, counted, listed, stamp, until

BAR_STEPS = 10
_CHARGED, _ON_HOLD, _LEFT = "█▒░"
_LEGEND = "-# █ charged · ▒ on hold · ░ left"
_FOOT = f"{_LEGEND}\n-# There are more limits than fit here."
_GRANTS_SHOWN_MAX = 3
_REASON_CHARACTERS_MAX = 80
# Discord takes 4,000 characters in all texts of a message together.
_CHARACTERS_MAX = 4_000


def crossing_text(standing: Standing, percent: int) -> str:
    """Return the line that says so much of a limit is used, once per window."""
    limit = (
        show_usd(standing.limit or 0) if standing.measure is Measure.MONEY else counted(standing.limit or 0, "video")
    )
    used = f"You have used {max(percent, standing.percent_used)} % of {limit} {WINDOW_NOW[standing.window]}"
    return f"{used} ({limit_source(standing)}); it starts again {stamp(standing.window_ends_at)}."


def bar(standing: Standing) -> str:
    """Draw a limit in ten steps: charged, on hold, left. What is used at all shows; full means that nothing is left.

    What grants paid beyond the limit is left out, of what is on hold first. The signs stand as code, in a font that
    gives each the same width.
    """
    if not standing.limit:
        return ""
    used = max(0, standing.committed - standing.granted)
    steps = BAR_STEPS if used >= standing.limit else min(BAR_STEPS - 1, -(-used * BAR_STEPS // standing.limit))
    on_hold_within = max(0, used - (standing.committed - standing.on_hold))
    on_hold = min(steps, -(-on_hold_within * BAR_STEPS // max(used, standing.limit)))
    return f"`{_CHARGED * (steps - on_hold)}{_ON_HOLD * on_hold}{_LEFT * (BAR_STEPS - steps)}`"


def quota_card(stand: WhereIStand, *, note: str = "") -> Layout:
    """Return where somebody stands, the limit that leaves least before the others; `note` says what just happened."""
    least = narrowest(stand.standings)
    head = text(note, "**Your quota**", _headline(stand, least), _on_hold(stand))
    rest = text(*_grants(stand.grants), *_without_limit(stand.standings), *_also_set(stand.rules), *_asked_first(stand))
    groups = list(_groups(stand.standings, least))
    kept = list(_fitting(groups, _CHARACTERS_MAX - sum(len(each.content) for each in (head, rest)) - len(_FOOT)))
    foot = (_FOOT if len(kept) < len(groups) else _LEGEND) if groups else ""
    items: list[ui.Item[Layout]] = [head, *([ui.Separator()] if groups else []), *map(text, kept)]
    items += [each for each in (text(foot), rest) if each.content]
    return boxed(Accent.GREY, *items, own_limit_buttons())


def _groups(standings: Sequence[Standing], least: Standing | None) -> Iterator[str]:
    """Yield each source with its limits: that of the one that leaves least first, and this one first there."""
    by_source: dict[str, list[Standing]] = {}
    for standing in sorted(standings, key=lambda each: each is not least):
        if standing.limit is not None:
            by_source.setdefault(_heading(standing), []).append(standing)
    alone = sum(map(len, by_source.values())) == 1
    for heading, limits in by_source.items():
        lines = (_limit(each, " ← tightest" if each is least and not alone else "") for each in limits)
        yield "\n".join((f"**{heading}**", *lines))


def _fitting(texts: Sequence[str], room: int) -> Iterator[str]:
    for each in texts:
        room -= len(each)
        if room < 0:
            return
        yield each


def _headline(stand: WhereIStand, least: Standing | None) -> str:
    if least is None:
        return "Nothing limits what you spend here." if stand.guild_id else "Nothing limits what you spend."
    granted = min(least.grants_left_microusd, least.available_microusd or 0)
    also = f", {show_usd(granted)} of it granted to you" if granted and least.measure is Measure.MONEY else ""
    return f"{capital(left_words(least))}{also}."


def _on_hold(stand: WhereIStand) -> str:
    if not stand.holds.count:
        return ""
    return f"{show_usd(stand.holds.microusd)} of yours is on hold, for {counted(stand.holds.count, 'job')} under way."


def _limit(standing: Standing, mark: str) -> str:
    window = capital(WINDOW_NOW[standing.window])
    if standing.limit == 0:
        return f"{window}: **no paid videos**{mark}"
    again = f"starts again {stamp(standing.window_ends_at)}"
    return f"{window}: **{_left(standing)}**{mark}\n{bar(standing)} {_used(standing)}{DOT}{again}"


def _left(standing: Standing) -> str:
    if standing.measure is Measure.VIDEOS:
        return f"{standing.left:,} of {counted(standing.limit or 0, 'video')} left"
    return f"{show_usd(standing.left or 0)} of {show_usd(standing.limit or 0)} left"


def _used(standing: Standing) -> str:
    if standing.measure is Measure.VIDEOS:
        granted = f", {standing.granted:,} of them granted" if standing.granted else ""
        return f"{standing.committed:,} made{granted}"
    charged = standing.committed - standing.on_hold
    parts = [f"{show_usd(charged)} charged" if charged else ""]
    parts += [f"{show_usd(standing.on_hold)} on hold" if standing.on_hold else ""]
    parts += [f"{show_usd(standing.granted)} of it granted" if standing.granted else ""]
    return ", ".join(part for part in parts if part) or "nothing used yet"


def _heading(standing: Standing) -> str:
    match standing.kind:
        case LimitKind.USER:
            return "The operator's limit for each person, over all servers"
        case LimitKind.GUILD:
            return "The operator's limit for this server"
        case LimitKind.OWN:
            return "Your own limit, over all servers"
        case _:
            return capital(limit_source(standing))


def _grants(grants: Sequence[Grant]) -> Iterator[str]:
    if not grants:
        return
    yield "**Granted to you here**, used where a server rule leaves you too little"
    for grant in grants[:_GRANTS_SHOWN_MAX]:
        left = f"{show_usd(grant.amount_microusd - grant.used_microusd)} of {show_usd(grant.amount_microusd)} left"
        why = shown(grant.reason, lines_max=1, characters_max=_REASON_CHARACTERS_MAX)
        yield f"{left} {until(grant.expires_at)}{f': {why}' if why else ''}"
    if len(grants) > _GRANTS_SHOWN_MAX:
        yield f"-# And {counted(len(grants) - _GRANTS_SHOWN_MAX, 'more grant')}."


def _without_limit(standings: Sequence[Standing]) -> Iterator[str]:
    """Name the windows that are unlimited, where anything is limited at all."""
    limited = {_whose_window(each) for each in standings if each.limit is not None}
    names = dict.fromkeys(_whose_window(each) for each in standings if each.limit is None)
    unlimited = [name for name in names if name not in limited]
    if unlimited and limited:
        yield f"No limit: {', '.join(unlimited)}."


def _whose_window(standing: Standing) -> str:
    window = WINDOW_NOW[standing.window]
    if standing.kind.is_personal:
        return window
    return f"this {'server' if standing.kind in SHARED_BY_ALL else 'channel'} {window}"


def _also_set(rules: Sequence[Rule]) -> Iterator[str]:
    """Say in one line what else rules set here."""
    allowed = allowed_by(rules)
    caps = (
        (personal_bound(rules, "jobs_max"), "of yours"),
        (shared_bound(rules, Scope.POOL, "jobs_max"), "on this server"),
    )
    said = [f"{counted(cap.value, 'job')} {whose} at once" for cap, whose in caps if cap and cap.value < UNLIMITED]
    said += [f"at most {allowed.duration_max_s} s"] if allowed.duration_max_s is not None else []
    sets = {"resolution": allowed.resolutions, "ratio": allowed.ratios, "gateway": allowed.gateways}
    for thing, values in sets.items():
        if values is not None:
            said.append(listed(sorted(values), last="or") if values else f"no {thing}, because the rules contradict")
    if said:
        yield f"Rules for videos here: {DOT.join(said)}"


def _asked_first(stand: WhereIStand) -> Iterator[str]:
    own, here = stand.own.confirm_above_microusd, stand.confirm_here_microusd
    above = [amount for amount in (own, here) if amount is not None]
    if above:
        who = "your own wish" if min(above) == own else "this server's setting"
        yield f"You are asked before {asked_before(min(above))} ({who})."
