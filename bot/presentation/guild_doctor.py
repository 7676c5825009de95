"""Says what works on a server and what does not, each fault with its next step: `/video-admin doctor`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

from bot.domain.guild_doctor import DeadEnd, Diagnosis
from bot.domain.money import show_usd
from bot.domain.offers import Offer
from bot.domain.request import DURATION_DEFAULT_S
from bot.domain.rules import MONEY_FIELDS, VIDEO_FIELDS, Rule
from bot.presentation.admin import subject_words
from bot.presentation.choices import gateway_choice, why_not
from bot.presentation.layout import Accent, Layout, boxed, text
from bot.presentation.words import DOT, WINDOW_EACH, counted, listed

_NAMES_MAX = 8
_GROUPS_MAX = 5
_DEAD_ENDS_MAX = 5
_GOOD, _BAD = "✓", "✗"
_SET_WORDS = {"resolutions": "resolution", "gateways": "gateway", "ratios": "ratio"}
_CHANNEL_STEP = (
    "Allow that for the bot's role in the channel: Edit Channel, Permissions. Until then `/video` is refused."
)


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """A channel where videos may be asked for, and what the bot lacks there, in Discord's names for permissions."""

    channel_id: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What Discord says. `hidden` counts channels that the bot cannot see, where every channel is allowed.

    `gone_...` was deleted on Discord. `audit_missing`: what the bot lacks in the audit channel, None where that is
    deleted.
    """

    channels: tuple[ChannelFacts, ...]
    hidden: int = 0
    gone_channel_ids: tuple[int, ...] = ()
    gone_role_ids: tuple[int, ...] = ()
    gone_rules: tuple[Rule, ...] = ()
    audit_missing: tuple[str, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the list; a fault says what to do next."""

    words: str
    next_step: str = ""

    @property
    def is_fault(self) -> bool:
        return bool(self.next_step)


def doctor_card(diagnosis: Diagnosis, server: ServerFacts) -> Layout:
    """Return every finding, the faults with their next steps."""
    found = findings(diagnosis, server)
    faults = sum(finding.is_fault for finding in found)
    headline = f"**{counted(faults, 'fault')} found**" if faults else "**No faults found**"
    return boxed(Accent.AMBER if faults else Accent.GREEN, text(headline, *_lines(found)))


def findings(diagnosis: Diagnosis, server: ServerFacts) -> list[Finding]:
    """Return what was looked at, in the order in which it matters."""
    return [
        *_pauses(diagnosis),
        *_gateways(diagnosis),
        *_channels(server),
        *_gone(diagnosis, server),
        *_rules(diagnosis.dead_ends),
        _audit_channel(diagnosis, server),
    ]


def _lines(found: Sequence[Finding]) -> Iterator[str]:
    """Yield each finding; where one next step mends several in a row, it stands below the last of them."""
    for finding, following in zip_longest(found, found[1:]):
        yield f"{_BAD if finding.is_fault else _GOOD} {finding.words}"
        if finding.is_fault and (following is None or following.next_step != finding.next_step):
            yield f"-# {finding.next_step}"


def _pauses(diagnosis: Diagnosis) -> Iterator[Finding]:
    if diagnosis.settings.paused:
        yield Finding("New videos are paused on this server.", "`/video-admin resume` ends that.")
    if diagnosis.paused_by_operator:
        yield Finding("The operator has paused new videos everywhere.", "Only the operator can end that.")
    if not diagnosis.settings.paused and not diagnosis.paused_by_operator:
        yield Finding("New videos are not paused.")


def _gateways(diagnosis: Diagnosis) -> Iterator[Finding]:
    paid = [offer for offer in diagnosis.offers if not offer.capabilities.free]
    working = [offer for offer in paid if offer.problem is None]
    allowed = [offer for offer in working if _allows(diagnosis.gateways, offer)]
    closed: dict[str, list[str]] = {}
    for offer in paid:
        if offer not in allowed:
            why = why_not(offer.problem) if offer.problem is not None else "not allowed by the rules"
            closed.setdefault(why, []).append(offer.capabilities.title)
    rest = f" Not here: {'; '.join(f'{listed(titles)}{DOT}{why}' for why, titles in closed.items())}." if closed else ""
    if allowed:
        prices = "; ".join(gateway_choice(offer) for offer in allowed)
        yield Finding(f"Paid gateways ({DURATION_DEFAULT_S} s, 720p): {prices}.{rest}")
        return
    step = "`/video-admin settings` allows gateways." if working else "The operator can change that."
    yield Finding(f"No paid gateway is open here, only free previews.{rest}", step)


def _allows(gateways: frozenset[str] | None, offer: Offer) -> bool:
    return gateways is None or offer.capabilities.gateway in gateways


def _channels(server: ServerFacts) -> Iterator[Finding]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for channel in server.channels:
        groups.setdefault(channel.missing, []).append(f"<#{channel.channel_id}>")
    hidden = f" {counted(server.hidden, 'channel')} that it cannot see left out." if server.hidden else ""
    if good := groups.pop((), []):
        yield Finding(f"The bot can do all it needs in {counted(len(good), 'channel')}.{hidden}")
    elif not groups:
        yield Finding(
            f"There is no channel that the bot sees and videos may be asked for in.{hidden}",
            "Let the bot's role view a channel, or allow another one in `/video-admin settings`.",
        )
    largest_first = sorted(groups.items(), key=lambda group: -len(group[1]))
    for missing, names in largest_first[:_GROUPS_MAX]:
        yield Finding(f"The bot lacks {listed(list(missing))} in {_some(names)}.", _CHANNEL_STEP)
    if rest := sum(len(names) for _, names in largest_first[_GROUPS_MAX:]):
        yield Finding(f"It lacks something in {counted(rest, 'more channel')}.", "Mend those above, then look again.")


def _gone(diagnosis: Diagnosis, server: ServerFacts) -> Iterator[Finding]:
    settings = diagnosis.settings
    for thing, set_ids, gone_ids in (
        ("channel", settings.channel_ids, server.gone_channel_ids),
        ("role", settings.role_ids, server.gone_role_ids),
    ):
        if not gone_ids:
            continue
        ids = _some([f"`{each}`" for each in gone_ids])
        nobody = " None is left, so nobody can make videos." if len(gone_ids) == len(set_ids) else ""
        were = "was" if len(gone_ids) == 1 else "were"
        yield Finding(
            f"{counted(len(gone_ids), f'allowed {thing}')} {were} deleted: {ids}.{nobody}",
            f"`/video-admin settings` takes {'it' if len(gone_ids) == 1 else 'them'} off the list.",
        )
    if server.gone_rules:
        names = _some([f"{rule.scope.value} `{rule.subject_id}`" for rule in server.gone_rules])
        yield Finding(
            f"There are rules for what was deleted: {names}.",
            "They count for nobody. `/video-admin quota clear` removes them.",
        )


def _rules(dead_ends: Sequence[DeadEnd]) -> Iterator[Finding]:
    if not dead_ends:
        yield Finding("No rule keeps everybody it is for from spending.")
    for end in islice(dead_ends, _DEAD_ENDS_MAX):
        yield Finding(_dead_end(end), "`/video-admin quota set` changes a rule, `quota clear` removes it.")
    rest = len(dead_ends) - _DEAD_ENDS_MAX
    if rest > 0:
        yield Finding(f"And {counted(rest, 'more rule')} of that kind.", "Mend those above, then look again.")


def _dead_end(end: DeadEnd) -> str:
    whose = [subject_words(rule) for rule in end.rules]
    if end.field in _SET_WORDS:
        if len(whose) == 1:
            return f"The rule for {whose[0]} allows no {_SET_WORDS[end.field]}."
        return f"The rules for {listed(whose)} have no {_SET_WORDS[end.field]} in common."
    return f"The rule for {whose[0]} lets nobody make paid videos: {_none_of(end.field)}."


def _none_of(field: str) -> str:
    for window, name in MONEY_FIELDS.items():
        if name == field:
            return f"{show_usd(0)} {WINDOW_EACH[window]}"
    window = next(window for window, name in VIDEO_FIELDS.items() if name == field)
    return f"0 videos {WINDOW_EACH[window]}"


def _audit_channel(diagnosis: Diagnosis, server: ServerFacts) -> Finding:
    channel_id = diagnosis.settings.audit_channel_id
    if channel_id is None:
        return Finding("No audit channel is set; `/video-admin audit` shows every act.")
    if server.audit_missing is None:
        return Finding("The audit channel was deleted.", "`/video-admin settings` sets another one, or none.")
    if server.audit_missing:
        lacks = listed(list(server.audit_missing))
        return Finding(
            f"The bot lacks {lacks} in the audit channel <#{channel_id}>.",
            "Allow that for the bot's role there: Edit Channel, Permissions.",
        )
    return Finding(f"The bot can write into the audit channel <#{channel_id}>.")


def _some(names: Sequence[str]) -> str:
    """Join as many names as fit, and count the others."""
    if len(names) <= _NAMES_MAX:
        return listed(list(names))
    return f"{', '.join(names[:_NAMES_MAX])} and {len(names) - _NAMES_MAX:,} more"
