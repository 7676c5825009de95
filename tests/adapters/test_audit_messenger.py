"""Acts are told over the wire: in the guild's audit channel, once, and nobody is pinged."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.adapters.discord.audit import AuditChannels
from bot.domain.errors import DeliveryFailed
from bot.domain.guild import ActKind, AuditEntry
from bot.sandbox.discord import Channel
from bot.sandbox.discord import permissions as bits
from tests.adapters.discord_stage import Stage, stage

pytestmark = pytest.mark.wire


@dataclass
class Scene:
    """The stage, its audit channel, and an act about its member."""

    stage: Stage
    channel: Channel
    entry: AuditEntry
    audit: AuditChannels

    async def tell(self, entry: AuditEntry | None = None, channel_id: int | None = None) -> None:
        await self.audit.tell(entry or self.entry, channel_id=channel_id or self.channel.id)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with stage(tmp_path) as on:
        entry = AuditEntry(
            audit_id=7,
            guild_id=on.guild.id,
            kind=ActKind.BLOCKED,
            actor_id=on.owner.id,
            at=on.clock.now(),
            before="none",
            after="until unblocked: @everyone go",
            user_id=on.member.id,
        )
        yield Scene(on, on.guild.add_channel("audit"), entry, AuditChannels(places=on.places, posting=on.posting))
        on.sandbox.assert_clean()


async def test_an_act_is_posted_in_its_channel_and_pings_nobody(scene: Scene) -> None:
    await scene.tell()

    [message] = scene.channel.messages
    assert message.text.split("\n") == [
        f"<@{scene.stage.owner.id}> blocked <@{scene.stage.member.id}> · <t:{int(scene.entry.at.timestamp())}:f>",
        "-# none → until unblocked: @\u200beveryone go",
        "-# act 7",
    ]
    assert message.pings == []


async def test_told_twice_it_is_there_once(scene: Scene) -> None:
    await scene.tell()
    await scene.tell()

    assert len(scene.channel.messages) == 1
    assert len(scene.stage.posts(scene.channel.id)) == 1


async def test_an_act_whose_answer_was_lost_is_found_again_though_the_nonce_is_forgotten(scene: Scene) -> None:
    scene.stage.sandbox.faults.drop_after(f"POST .*/{scene.channel.id}/messages")
    with pytest.raises(DeliveryFailed) as failed:
        await scene.tell()
    scene.stage.sandbox.faults.forget_nonces()

    await scene.tell()

    assert not failed.value.permanent
    assert len(scene.channel.messages) == 1


async def test_another_act_is_not_taken_for_it(scene: Scene) -> None:
    await scene.tell(replace(scene.entry, audit_id=17))
    await scene.tell()

    assert len(scene.channel.messages) == 2


@pytest.mark.parametrize("bit", [bits.SEND_MESSAGES, bits.VIEW_CHANNEL])
async def test_a_channel_closed_to_the_bot_fails_for_good(scene: Scene, bit: int) -> None:
    scene.stage.sandbox.set_bot_permissions(scene.channel, bits.EVERYONE & ~bit)

    with pytest.raises(DeliveryFailed) as failed:
        await scene.tell()

    assert failed.value.permanent


async def test_a_channel_that_is_gone_fails_for_good(scene: Scene) -> None:
    scene.stage.sandbox.faults.delete_channel(scene.channel)

    with pytest.raises(DeliveryFailed) as failed:
        await scene.tell()

    assert failed.value.permanent


async def test_a_channel_whose_history_cannot_be_read_is_told_all_the_same(scene: Scene) -> None:
    scene.stage.sandbox.set_bot_permissions(scene.channel, bits.EVERYONE & ~bits.READ_MESSAGE_HISTORY)

    await scene.tell()

    assert len(scene.channel.messages) == 1


async def test_a_word_of_the_blocklist_is_not_told(scene: Scene) -> None:
    await scene.tell(replace(scene.entry, kind=ActKind.WORD_ADDED, subject="secret", before="", after="word"))

    [message] = scene.channel.messages
    assert "added a word to the blocklist" in message.text
    assert "secret" not in message.text
