"""Operators are told over the wire: once, where they are, and in spite of what goes wrong on the way."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.adapters.discord.operators import OperatorMessenger
from bot.domain.errors import DeliveryFailed, Refusal
from bot.domain.notices import Notice, NoticeKind
from bot.presentation.notices import mark_line
from bot.sandbox.discord import Channel, User
from bot.sandbox.discord import permissions as bits
from tests.adapters.discord_stage import Stage, stage

pytestmark = pytest.mark.wire

LOSS = Notice("loss/2026-11", NoticeKind.LOSS, detail="2026-11", loss_microusd=12_000_000, limit_microusd=10_000_000)
OUT = Notice("gateway_out/hiapi/key", NoticeKind.GATEWAY_OUT, gateway_title="HiAPI", reason=Refusal.KEY)
NO_SENDING = bits.EVERYONE & ~bits.SEND_MESSAGES
NO_HISTORY = bits.EVERYONE & ~bits.READ_MESSAGE_HISTORY


@dataclass
class Scene:
    """The stage with three operators, and a channel of theirs."""

    stage: Stage
    operators: list[User]
    channel: Channel

    def messenger(self, *, channel_id: int | None = None) -> OperatorMessenger:
        return OperatorMessenger(
            places=self.stage.places,
            posting=self.stage.posting,
            operator_ids=lambda: frozenset(user.id for user in self.operators),
            channel_id=channel_id,
            clock=self.stage.clock,
        )

    @property
    def to_channel(self) -> OperatorMessenger:
        return self.messenger(channel_id=self.channel.id)

    def counts(self) -> list[int]:
        """Return how many messages each operator has."""
        return [len(user.dm.messages) for user in self.operators]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with stage(tmp_path) as on:
        others = [on.sandbox.add_user(name) for name in ("ada", "eve")]
        for user in others:
            on.guild.add_member(user)
        yield Scene(on, [on.owner, *others], on.guild.add_channel("operators"))
        on.sandbox.assert_clean()


async def test_a_notice_goes_to_the_operators_channel_and_pings_nobody(scene: Scene) -> None:
    job = scene.stage.job()
    notice = Notice("unconfirmed/1", NoticeKind.UNCONFIRMED, job=job, gateway_title="HiAPI")

    await scene.to_channel.tell(notice)

    [message] = scene.channel.messages
    assert message.text.endswith(mark_line(notice.key))
    assert job.job_id in message.text
    assert message.pings == []
    assert scene.counts() == [0, 0, 0]


async def test_without_a_channel_every_operator_gets_it_directly(scene: Scene) -> None:
    await scene.messenger().tell(LOSS)

    assert scene.counts() == [1, 1, 1]


async def test_told_twice_it_is_there_once(scene: Scene) -> None:
    for _ in range(2):
        await scene.to_channel.tell(LOSS)
        await scene.messenger().tell(OUT)

    assert len(scene.channel.messages) == 1
    assert scene.counts() == [1, 1, 1]


async def test_a_notice_whose_answer_was_lost_is_found_again_though_the_nonce_is_forgotten(scene: Scene) -> None:
    scene.stage.sandbox.faults.drop_after(f"POST .*/{scene.channel.id}/messages")
    with pytest.raises(DeliveryFailed) as failed:
        await scene.to_channel.tell(LOSS)
    scene.stage.sandbox.faults.forget_nonces()

    await scene.to_channel.tell(LOSS)

    assert not failed.value.permanent
    assert len(scene.channel.messages) == 1
    assert scene.counts() == [0, 0, 0]


async def test_another_notice_is_not_taken_for_it(scene: Scene) -> None:
    await scene.to_channel.tell(LOSS)
    await scene.to_channel.tell(replace(LOSS, key="loss/2026-12", detail="2026-12"))

    assert len(scene.channel.messages) == 2


@pytest.mark.parametrize(("notice", "told"), [(OUT, 2), (LOSS, 1)], ids=["comes back", "once for ever"])
async def test_what_comes_back_is_told_again_though_an_older_message_says_the_same(
    scene: Scene, notice: Notice, told: int
) -> None:
    await scene.to_channel.tell(replace(notice, since=scene.stage.clock.now()))
    scene.stage.clock.turn(300)
    for _ in range(2):
        await scene.to_channel.tell(replace(notice, since=scene.stage.clock.now()))

    assert len(scene.channel.messages) == told


async def test_a_channel_that_is_gone_falls_back_to_direct_messages(scene: Scene) -> None:
    scene.stage.sandbox.faults.delete_channel(scene.channel)

    await scene.to_channel.tell(LOSS)

    assert scene.counts() == [1, 1, 1]


async def test_a_channel_closed_to_the_bot_falls_back_to_direct_messages(scene: Scene) -> None:
    scene.stage.sandbox.set_bot_permissions(scene.channel, NO_SENDING)

    await scene.to_channel.tell(LOSS)

    assert scene.counts() == [1, 1, 1]


async def test_a_channel_whose_history_cannot_be_read_is_told_all_the_same(scene: Scene) -> None:
    scene.stage.sandbox.set_bot_permissions(scene.channel, NO_HISTORY)

    await scene.to_channel.tell(LOSS)

    assert len(scene.channel.messages) == 1
    assert scene.counts() == [0, 0, 0]


async def test_one_operator_with_closed_direct_messages_is_no_failure(scene: Scene) -> None:
    scene.operators[1].dms_open = False

    await scene.messenger().tell(LOSS)

    assert scene.counts() == [1, 0, 1]


async def test_when_nobody_can_be_told_it_is_said_for_good(scene: Scene) -> None:
    for user in scene.operators:
        user.dms_open = False

    with pytest.raises(DeliveryFailed) as failed:
        await scene.messenger().tell(LOSS)

    assert failed.value.permanent


async def test_without_operators_nobody_can_be_told(scene: Scene) -> None:
    scene.operators.clear()

    with pytest.raises(DeliveryFailed) as failed:
        await scene.messenger().tell(LOSS)

    assert failed.value.permanent


async def test_after_an_unclear_answer_only_who_has_not_got_it_is_told_again(scene: Scene) -> None:
    second = scene.operators[1].dm
    scene.stage.sandbox.faults.drop_before(f"POST .*/{second.id}/messages")
    with pytest.raises(DeliveryFailed) as failed:
        await scene.messenger().tell(LOSS)
    before = scene.counts()
    scene.stage.sandbox.faults.forget_nonces()

    await scene.messenger().tell(LOSS)

    assert not failed.value.permanent
    assert before == [1, 0, 1]
    assert scene.counts() == [1, 1, 1]


async def test_an_unclear_answer_of_the_channel_does_not_wake_everybody(scene: Scene) -> None:
    scene.stage.sandbox.faults.answer(f"POST .*/{scene.channel.id}/messages", 503)

    with pytest.raises(DeliveryFailed) as failed:
        await scene.to_channel.tell(LOSS)

    assert not failed.value.permanent
    assert scene.counts() == [0, 0, 0]
