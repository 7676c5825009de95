"""The doctor's list: grouped, counted and inside Discord's limits on the largest server; each fault has a next step."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from bot.domain.errors import GatewayRejected, Unavailable
from bot.domain.guild import GuildSettings
from bot.domain.guild_doctor import DeadEnd, Diagnosis
from bot.domain.offers import Offer
from bot.domain.request import Mode
from bot.domain.rules import Rule, Scope
from bot.presentation.guild_doctor import ChannelFacts, ServerFacts, doctor_card, findings
from tests.fakes import capabilities
from tests.presentation.views import words

LARGE = 10**18
PERMISSIONS = ("View Channel", "Send Messages", "Send Messages in Threads", "Embed Links", "Attach Files")


def offer(name: str, problem: Unavailable | None = None) -> Offer:
    facts = capabilities(name, title=name.title())
    refused = GatewayRejected(facts.title, problem, Mode.REFERENCE) if problem else None
    return Offer(facts, None if refused else 645_000, refused)


def diagnosis(**changes: Any) -> Diagnosis:
    facts = {
        "settings": GuildSettings(7),
        "rules": (),
        "dead_ends": (),
        "offers": (offer("hiapi"), offer("pixeldojo", Unavailable.NO_KEY)),
        "gateways": None,
        "paused_by_operator": False,
    }
    return Diagnosis(**{**facts, **changes})


def server(*missing: tuple[str, ...], **changes: Any) -> ServerFacts:
    return ServerFacts(tuple(ChannelFacts(LARGE + n, each) for n, each in enumerate(missing)), **changes)


def said(found: Diagnosis, there: ServerFacts) -> list[str]:
    return [finding.words for finding in findings(found, there)]


def test_channels_that_lack_the_same_stand_together_and_hundreds_are_counted() -> None:
    lacking = [("Attach Files",)] * 300 + [("Embed Links", "Attach Files")] * 2 + [()] * 40

    lines = said(diagnosis(), server(*lacking, hidden=3))

    first = ", ".join(f"<#{LARGE + n}>" for n in range(8))
    assert "The bot can do all it needs in 40 channels. 3 channels that it cannot see left out." in lines
    assert f"The bot lacks Attach Files in {first} and 292 more." in lines
    assert f"The bot lacks Embed Links and Attach Files in <#{LARGE + 300}> and <#{LARGE + 301}>." in lines


def test_what_is_closed_is_said_beside_what_is_open() -> None:
    assert "Paid gateways (5 s, 720p): Hiapi, HappyHorse 1.1 · $0.645. Not here: Pixeldojo · has no key here." in said(
        diagnosis(), server(())
    )


def test_where_no_channel_is_left_that_is_the_fault() -> None:
    [finding] = [each for each in findings(diagnosis(), server(hidden=2)) if "no channel" in each.words]

    assert finding.words == (
        "There is no channel that the bot sees and videos may be asked for in. 2 channels that it cannot see left out."
    )
    assert finding.is_fault


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (
            DeadEnd("day_microusd", (Rule(Scope.EVERYONE),)),
            "The rule for everyone lets nobody make paid videos: $0.00 a day.",
        ),
        (
            DeadEnd("week_videos", (Rule(Scope.ROLE, 5),)),
            "The rule for <@&5> lets nobody make paid videos: 0 videos a week.",
        ),
        (
            DeadEnd("ratios", (Rule(Scope.ROLE, 5), Rule(Scope.CHANNEL, 6), Rule(Scope.POOL))),
            "The rules for <@&5>, <#6> and this server's pool have no ratio in common.",
        ),
    ],
)
def test_a_rule_that_lets_nobody_spend_is_named_with_its_limit(end: DeadEnd, says: str) -> None:
    assert says in said(diagnosis(dead_ends=(end,)), server(()))


def test_of_several_deleted_channels_some_may_be_left() -> None:
    settings = GuildSettings(7, channel_ids=frozenset({1, 2, 3}))

    some = said(diagnosis(settings=settings), server((), gone_channel_ids=(1, 2)))
    every = said(diagnosis(settings=settings), server(gone_channel_ids=(1, 2, 3)))

    assert "2 allowed channels were deleted: `1` and `2`." in some
    assert "3 allowed channels were deleted: `1`, `2` and `3`. None is left, so nobody can make videos." in every


def test_the_worst_server_fits_discord_and_each_fault_has_a_next_step() -> None:
    groups = [lacks for size in range(1, 6) for lacks in combinations(PERMISSIONS, size)]
    ids = tuple(LARGE + n for n in range(500))
    rules = tuple(Rule(Scope.ROLE, each) for each in ids)
    ends = tuple(DeadEnd("gateways", (rule, Rule(Scope.CHANNEL, LARGE), Rule(Scope.POOL))) for rule in rules)
    settings = GuildSettings(
        7, paused=True, channel_ids=frozenset(ids), role_ids=frozenset(ids), audit_channel_id=LARGE
    )
    worst = diagnosis(
        settings=settings,
        rules=rules,
        dead_ends=ends,
        offers=tuple(offer(name, Unavailable.GUILD_NOT_SERVED) for name in ("shortapi", "hiapi", "pixeldojo")),
        paused_by_operator=True,
    )
    there = server(
        *[lacks for lacks in groups for _ in range(15)],
        gone_channel_ids=ids,
        gone_role_ids=ids,
        gone_rules=rules,
        audit_missing=PERMISSIONS[:3],
    )

    lines = words(doctor_card(worst, there))

    assert sum(len(line) + 1 for line in lines) <= 4_000
    assert lines[0] == f"**{len(findings(worst, there))} faults found**"
    assert all(finding.is_fault for finding in findings(worst, there))
    assert lines[-1].startswith("-# ")


def test_a_next_step_that_mends_several_stands_once_below_them() -> None:
    lines = words(doctor_card(diagnosis(), server(("Attach Files",), ("Embed Links",))))

    where = lines.index(f"✗ The bot lacks Attach Files in <#{LARGE}>.")
    assert [line[:2] for line in lines[where : where + 4]] == ["✗ ", "✗ ", "-#", "✓ "]


def test_without_a_fault_the_headline_says_so() -> None:
    assert words(doctor_card(diagnosis(), server(())))[0] == "**No faults found**"
    assert words(doctor_card(replace(diagnosis(), paused_by_operator=True), server(())))[0] == "**1 fault found**"
