"""Names of members over the wire: asked for once, and an id where Discord gives none."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cogs import member_names
from cogs.member_names import MemberNames
from tests.adapters.discord_stage import Stage, stage

pytestmark = pytest.mark.wire


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as on_stage:
        yield on_stage


async def test_members_are_named_once_asked_and_one_who_left_by_the_id(on: Stage) -> None:
    names, guild = MemberNames(), on.bot.get_guild(on.guild.id)
    wanted = [on.member.id, 4_711, on.member.id]

    first = await names.of(guild, wanted)
    on.guild.members.clear()
    second = await names.of(guild, wanted)

    assert first == second == {on.member.id: "mia", 4_711: "member 4711"}


async def test_without_an_answer_the_ids_are_given_and_asked_for_again(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, guild = MemberNames(), on.bot.get_guild(on.guild.id)
    with monkeypatch.context() as slow:
        slow.setattr(member_names, "_ANSWER_WITHIN_S", 0.0)
        unknown = await names.of(guild, [on.member.id])

    known = await names.of(guild, [on.member.id])

    assert unknown == {on.member.id: f"member {on.member.id}"}
    assert known == {on.member.id: "mia"}


async def test_only_so_many_names_are_kept(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_names, "_KEPT_MAX", 2)
    names, guild = MemberNames(), on.bot.get_guild(on.guild.id)

    await names.of(guild, [1, 2, on.member.id])

    assert list(names._names) == [(guild.id, 2), (guild.id, on.member.id)]
