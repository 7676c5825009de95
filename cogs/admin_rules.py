"""`/video-admin quota`: the rules of a server, set and cleared one at a time, and all of them in a list."""

import logging
import re
from collections.abc import Sequence

import discord
from discord import app_commands

from bot.domain.act_words import rule_words
from bot.domain.clashes import RuleView
from bot.domain.errors import ChangeProblem, ChangeRejected, StoreFailed
from bot.domain.guild import ID_MAX
from bot.domain.request import DURATION_MAX_S, DURATION_MIN_S
from bot.domain.rule_input import JOBS_MAX, VIDEOS_MAX, limit_from_text, names_from_text
from bot.domain.rules import RULE_FIELDS, Rule, Scope
from bot.presentation.admin import rule_cleared_text, rule_set_text
from bot.presentation.admin_lists import List
from bot.presentation.markdown import label
from bot.presentation.refusals import OPTION_NAMES
from cogs.admin_lists import ListAdmin
from cogs.answers import private_answer
from cogs.options import CHOICES_MAX
from cogs.places import managed_guild_id

log = logging.getLogger(__name__)

Who = discord.Member | discord.User | discord.Role


class _Rooms(app_commands.Transformer):
    """Takes the channels in which videos are asked for, forums with their posts among them."""

    @property
    def type(self) -> discord.AppCommandOptionType:
        return discord.AppCommandOptionType.channel

    @property
    def channel_types(self) -> list[discord.ChannelType]:
        # The library's own list for a forum names media channels, too, which no command may ask for.
        kinds = discord.ChannelType
        return [kinds.text, kinds.news, kinds.voice, kinds.stage_voice, kinds.forum]

    async def transform(
        self, _: discord.Interaction, value: app_commands.AppCommandChannel, /
    ) -> app_commands.AppCommandChannel:
        return value


Channel = app_commands.Transform[app_commands.AppCommandChannel, _Rooms]
Typed = app_commands.Range[str, 1, 100]
Videos = app_commands.Range[int, 0, VIDEOS_MAX]
Jobs = app_commands.Range[int, 1, JOBS_MAX]
Length = app_commands.Range[int, DURATION_MIN_S, DURATION_MAX_S]

_CHOICE_CHARACTERS_MAX = 100
_AMOUNT = "Dollars per {window}, such as 5 or 0.50; 0 or unlimited work, too. Default: as it was."
_COUNT = "Paid videos per {window}. Default: as it was."
_NAMES = "Which {things} are allowed, with commas. Default: as it was."
_OPTIONS = {
    "who": "A role (a limit for each who has it) or one member. Default: everyone.",
    "channel": "Limits for all in a channel together. Default: none.",
    "pool": "Limits for the whole server together. Default: no.",
    **{window: _AMOUNT.format(window=window) for window in ("day", "week", "month")},
    **{f"videos_{window}": _COUNT.format(window=window) for window in ("day", "week", "month")},
    "jobs_at_once": "Videos in the making at once. Default: as it was.",
    "longest": "Seconds of the longest video. Default: as it was.",
    **{things: _NAMES.format(things=things) for things in ("resolutions", "gateways", "ratios")},
}
_MENTION = re.compile(r"<(?P<sign>@!?|@&|#)(?P<id>[0-9]{1,20})>")
_SCOPES = {"@": Scope.MEMBER, "@!": Scope.MEMBER, "@&": Scope.ROLE, "#": Scope.CHANNEL}
_FIELDS = {OPTION_NAMES.get(field, field): field for field in RULE_FIELDS}


class RuleAdmin(ListAdmin):
    """The part of `/video-admin` that is about rules. Discord's command permissions say who may use it."""

    quota = app_commands.Group(name="quota", description="The limits of members, roles, channels and the server.")

    @quota.command(name="set", description="Set limits; those left out stay. With several roles the largest counts.")
    @app_commands.describe(**_OPTIONS)
    async def set_rule(
        self,
        interaction: discord.Interaction,
        *,
        who: Who | None = None,
        channel: Channel | None = None,
        pool: bool = False,
        day: Typed | None = None,
        week: Typed | None = None,
        month: Typed | None = None,
        videos_day: Videos | None = None,
        videos_week: Videos | None = None,
        videos_month: Videos | None = None,
        jobs_at_once: Jobs | None = None,
        longest: Length | None = None,
        resolutions: Typed | None = None,
        gateways: Typed | None = None,
        ratios: Typed | None = None,
    ) -> None:
        async with private_answer(interaction) as answer:
            guild_id, actor_id = managed_guild_id(interaction), interaction.user.id
            scope, subject_id = _subject(who, channel, pool=pool)
            change = Rule(
                scope,
                subject_id,
                day_microusd=_limit(day),
                week_microusd=_limit(week),
                month_microusd=_limit(month),
                day_videos=videos_day,
                week_videos=videos_week,
                month_videos=videos_month,
                jobs_max=jobs_at_once,
                duration_max_s=longest,
                resolutions=_set(resolutions),
                gateways=_set(gateways),
                ratios=_set(ratios),
            )
            view = await self._managers.set_rule(change, guild_id=guild_id, actor_id=actor_id)
            await answer.say(rule_set_text(view))

    @quota.command(name="clear", description="Take a rule away, or one limit of it.")
    @app_commands.describe(
        rule="Which one: from the list, or whose by @ or #. Required.",
        limit="Which limit of it. Default: the whole rule.",
    )
    async def clear_rule(self, interaction: discord.Interaction, rule: str, limit: str | None = None) -> None:
        async with private_answer(interaction) as answer:
            guild_id, actor_id = managed_guild_id(interaction), interaction.user.id
            cleared = _rule_of(rule, guild_id)
            field = None if limit is None else _FIELDS.get(limit.strip().casefold(), limit)
            left = await self._managers.clear_rule(
                cleared.scope, cleared.subject_id, field=field, guild_id=guild_id, actor_id=actor_id
            )
            await answer.say(rule_cleared_text(cleared, left))

    @quota.command(name="show", description="See every rule of this server, and which of them contradict each other.")
    async def show_rules(self, interaction: discord.Interaction) -> None:
        async with private_answer(interaction) as answer:
            await answer.show(await self.first_page(interaction, List.RULES))

    @clear_rule.autocomplete("rule")
    async def _rules_there(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        rows = [
            (_rule_choice(interaction.guild, view.rule), f"{view.rule.scope}:{view.rule.subject_id}")
            for view in await self._views(interaction)
        ]
        return _fitting(rows, _named(typed, interaction.guild_id))

    @clear_rule.autocomplete("limit")
    async def _limits_there(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        chosen = _named(str(interaction.namespace.rule or ""), interaction.guild_id)
        rows = [
            (f"{name}: {rule_words(_only(view.rule, field))}", name)
            for view in await self._views(interaction)
            if chosen in f"{view.rule.scope}:{view.rule.subject_id}"
            for name, field in _FIELDS.items()
            if getattr(view.rule, field) is not None
        ]
        return _fitting(list(dict(zip((value for _, value in rows), rows, strict=True)).values()), typed)

    @set_rule.autocomplete("resolutions")
    async def _resolutions(self, _: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return _lists(typed, self._managers.names["resolutions"])

    @set_rule.autocomplete("gateways")
    async def _gateways(self, _: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return _lists(typed, self._managers.names["gateways"])

    @set_rule.autocomplete("ratios")
    async def _ratios(self, _: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return _lists(typed, self._managers.names["ratios"])

    async def _views(self, interaction: discord.Interaction) -> list[RuleView]:
        if interaction.guild_id is None:
            return []
        try:
            return await self._managers.rules(interaction.guild_id)
        except StoreFailed:
            log.exception("rules not listed guild_id=%s", interaction.guild_id)
            return []


def _subject(who: Who | None, channel: app_commands.AppCommandChannel | None, *, pool: bool) -> tuple[Scope, int]:
    """Return whom a rule is for.

    Raises:
        ChangeRejected: TWO_SUBJECTS.
    """
    given = [
        (scope, subject.id if subject is not None else 0)
        for scope, subject, is_given in (
            (Scope.ROLE if isinstance(who, discord.Role) else Scope.MEMBER, who, who is not None),
            (Scope.CHANNEL, channel, channel is not None),
            (Scope.POOL, None, pool),
        )
        if is_given
    ]
    if len(given) > 1:
        raise ChangeRejected(ChangeProblem.TWO_SUBJECTS)
    return given[0] if given else (Scope.EVERYONE, 0)


def _limit(typed: str | None) -> int | None:
    return None if typed is None else limit_from_text(typed)


def _set(typed: str | None) -> frozenset[str] | None:
    return None if typed is None else names_from_text(typed)


def _rule_of(value: str, guild_id: int | None) -> Rule:
    """Return the empty rule that a choice of the list, or a mention, means.

    Raises:
        ChangeRejected: NO_RULE, it is no such choice.
    """
    scope, _, subject_id = _named(value, guild_id).partition(":")
    number = subject_id or "0"
    is_id = number.isascii() and number.isdecimal() and len(number) <= 20 and int(number) <= ID_MAX
    if scope not in set(Scope) or not is_id:
        raise ChangeRejected(ChangeProblem.NO_RULE)
    return Rule(Scope(scope), int(number))


def _named(typed: str, guild_id: int | None) -> str:
    """Return a choice's value; Discord sends a mention typed into an option as ``<@123>``."""
    match = _MENTION.fullmatch(typed.strip())
    value = f"{_SCOPES[match['sign']]}:{match['id']}" if match else typed.strip().casefold()
    return f"{Scope.EVERYONE}:0" if value == f"{Scope.ROLE}:{guild_id}" else value


def _only(rule: Rule, field: str) -> Rule:
    return Rule(rule.scope, rule.subject_id, **{field: getattr(rule, field)})


def _rule_choice(guild: discord.Guild | None, rule: Rule) -> str:
    return f"{_name(guild, rule)}: {rule_words(rule)}"[:_CHOICE_CHARACTERS_MAX]


def _name(guild: discord.Guild | None, rule: Rule) -> str:
    """Return what a rule's subject is called where no mention works."""
    if not rule.subject_id:
        return rule.scope.value
    named: discord.Role | discord.Member | discord.abc.GuildChannel | None = None
    if guild is not None:
        find = {Scope.ROLE: guild.get_role, Scope.CHANNEL: guild.get_channel, Scope.MEMBER: guild.get_member}
        named = find[rule.scope](rule.subject_id)
    if named is not None:
        name = named.display_name if isinstance(named, discord.Member) else named.name
        return f"{rule.scope.value} {label(name, characters_max=40)}"
    return f"{'' if rule.scope is Scope.MEMBER else 'deleted '}{rule.scope.value} {rule.subject_id}"


def _lists(typed: str, known: Sequence[str]) -> list[app_commands.Choice[str]]:
    """Complete the last name of a list with commas, or add one to it."""
    complete = [name for name in known if name in names_from_text(typed)]
    before = [name for name in known if name in names_from_text(typed.rpartition(",")[0])]
    wanted = typed.rpartition(",")[2].strip().casefold()
    lists = [complete] if complete and wanted in known else []
    lists += [[*before, name] for name in known if wanted in name and name not in complete]
    lists += [[*complete, name] for name in known if wanted in known and name not in complete]
    rows = [", ".join(names) for names in lists]
    return [app_commands.Choice(name=row, value=row) for row in dict.fromkeys(rows)][:CHOICES_MAX]


def _fitting(rows: Sequence[tuple[str, str]], typed: str) -> list[app_commands.Choice[str]]:
    wanted = typed.strip().casefold()
    return [
        app_commands.Choice(name=name[:_CHOICE_CHARACTERS_MAX], value=value)
        for name, value in rows
        if wanted in name.casefold() or wanted in value.casefold()
    ][:CHOICES_MAX]
