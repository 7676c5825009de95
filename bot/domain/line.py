"""Who is next: the fair choice among held jobs, within the caps in flight."""

from collections import Counter

from bot.domain.job import LineEntry, Running
from bot.domain.quota import Caps

# So long a job may wait in line; then it ends unsubmitted.
LINE_MAX_S = 3_600.0


def order_of_line(line: list[LineEntry], running: Running) -> list[LineEntry]:
    """Return the held jobs, given oldest first, in the order they would be submitted if every cap let them through.

    Next is always the oldest job of whoever has the fewest running, counting the ones chosen before.
    """
    return _fair(line, Counter(running.by_user))


def next_to_submit(line: list[LineEntry], running: Running, caps: Caps) -> list[LineEntry]:
    """Return the ready jobs that may be submitted now, in order; one at a cap waits, and the next is looked at."""
    counts = running.joined_by([])
    chosen = []
    for entry in _fair([entry for entry in line if entry.ready], Counter(running.by_user)):
        if _fits(entry, counts, caps):
            chosen.append(entry)
            counts.add(entry)
    return chosen


def _fits(entry: LineEntry, running: Running, caps: Caps) -> bool:
    in_guild = running.by_guild[entry.guild_id] if entry.guild_id is not None else 0
    per_user = caps.per_user if entry.user_jobs_max is None else min(caps.per_user, entry.user_jobs_max)
    per_guild = caps.per_guild if entry.guild_jobs_max is None else min(caps.per_guild, entry.guild_jobs_max)
    return (
        running.by_user[entry.user_id] < per_user
        and in_guild < per_guild
        and running.by_gateway[entry.gateway] < caps.per_gateway
    )


def _fair(line: list[LineEntry], running_by_user: Counter[int]) -> list[LineEntry]:
    """Sort entries that are oldest first: each person's nth job comes after everybody's jobs before their nth."""
    ranks: dict[str, int] = {}
    for entry in line:
        ranks[entry.job_id] = running_by_user[entry.user_id]
        running_by_user[entry.user_id] += 1
    return sorted(line, key=lambda entry: ranks[entry.job_id])
