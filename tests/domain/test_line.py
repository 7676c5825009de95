"""Who is next is fair, and caps let others pass."""

from collections import Counter
from datetime import timedelta

from bot.domain.job import LineEntry, Running
from bot.domain.line import next_to_submit, order_of_line
from bot.domain.quota import Caps
from tests.fakes import START

CAPS = Caps(per_user=3, per_guild=10, per_gateway=8)


def entry(name: str, user_id: int, at_s: int, *, guild_id: int | None = 1, gateway: str = "hiapi", ready: bool = True):
    return LineEntry(name, user_id, guild_id, gateway, START + timedelta(seconds=at_s), ready)


def running(users=None, guilds=None, gateways=None) -> Running:
    return Running(Counter(users or {}), Counter(guilds or {}), Counter(gateways or {}))


def names(entries) -> list[str]:
    return [entry.job_id for entry in entries]


def test_next_is_the_oldest_job_of_whoever_has_the_fewest_running():
    line = [entry("a1", 1, 0), entry("a2", 1, 1), entry("b1", 2, 2), entry("c1", 3, 3)]

    assert names(order_of_line(line, running({2: 1}))) == ["a1", "c1", "a2", "b1"]


def test_one_person_cannot_fill_the_line():
    line = [entry(f"a{n}", 1, n) for n in range(42)] + [entry("b", 2, 100)]

    assert names(order_of_line(line, running()))[:2] == ["a0", "b"]


def test_at_a_cap_a_job_waits_and_the_next_one_goes():
    line = [entry("a", 1, 0), entry("b", 2, 1, guild_id=7), entry("c", 3, 2, gateway="shortapi"), entry("d", 4, 3)]

    chosen = next_to_submit(line, running({1: 3}, {7: 10}, {"shortapi": 8}), CAPS)

    assert names(chosen) == ["d"]


def test_the_jobs_chosen_together_count_towards_the_caps():
    line = [entry(f"a{n}", 1, n) for n in range(5)]

    assert names(next_to_submit(line, running({1: 1}), CAPS)) == ["a0", "a1"]


def test_a_job_without_a_card_is_not_submitted():
    assert next_to_submit([entry("a", 1, 0, ready=False)], running(), CAPS) == []


def test_direct_messages_have_no_guild_cap():
    line = [entry(f"u{n}", n, n, guild_id=None) for n in range(8)]

    assert len(next_to_submit(line, running(), Caps(per_user=1, per_guild=1, per_gateway=8))) == 8
