"""What Discord was shown of a job: its card, its pictures, its video, and when to look again."""

from datetime import datetime

from bot.adapters.store.connections import Connections
from bot.adapters.store.rows import ms, ms_or_none
from bot.domain.job import CardFace, JobState, MessageRef

# What was asked for in the meantime stays due.
_SCHEDULE = """
UPDATE jobs SET next_at_ms = :next_at_ms, slow = coalesce(:slow, slow)
WHERE job_id = :job_id AND state = :state AND erased = 0 AND NOT (delivery = 'due' AND :next_at_ms IS NULL)
"""
_CARD_POSTED = """
UPDATE jobs SET card_channel_id = :channel_id, card_message_id = :message_id, card_face = :face, card_count = 0
WHERE job_id = :job_id
"""
# A video that was asked for again while its card was being edited is not shown any more.
_CARD_SHOWN = """
UPDATE jobs SET card_face = :face, card_count = 0
WHERE job_id = :job_id AND NOT (delivery = 'due' AND :face IN ('delivered', 'kept'))
"""
_CARD_FAILED = "UPDATE jobs SET card_count = card_count + 1 WHERE job_id = :job_id"
_PICTURES_POSTED = """
UPDATE jobs SET pictures_channel_id = :channel_id, pictures_message_id = :message_id WHERE job_id = :job_id
"""
_DELIVERED = """
UPDATE jobs SET delivery = 'posted', video_channel_id = :channel_id, video_message_id = :message_id,
    next_at_ms = :now_ms
WHERE job_id = :job_id AND delivery = 'due'
"""
_DELIVERY_FAILED = """
UPDATE jobs SET delivery_count = delivery_count + 1, next_at_ms = :next_at_ms
WHERE job_id = :job_id AND delivery = 'due'
"""
_GIVE_UP = """
UPDATE jobs SET delivery = 'given_up', next_at_ms = :now_ms WHERE job_id = :job_id AND delivery = 'due'
"""


class Deliveries(Connections):
    """The operations that follow a message of ours."""

    async def schedule(
        self, job_id: str, *, state: JobState, next_at: datetime | None, slow: bool | None = None
    ) -> None:
        values = {"job_id": job_id, "state": state, "next_at_ms": ms_or_none(next_at), "slow": slow}
        await self._change(_SCHEDULE, values)

    async def card_posted(self, job_id: str, *, card: MessageRef, face: CardFace) -> None:
        await self._change(_CARD_POSTED, {**_message(job_id, card), "face": face})

    async def card_shown(self, job_id: str, *, face: CardFace) -> None:
        await self._change(_CARD_SHOWN, {"job_id": job_id, "face": face})

    async def card_failed(self, job_id: str) -> None:
        await self._change(_CARD_FAILED, {"job_id": job_id})

    async def pictures_posted(self, job_id: str, *, message: MessageRef) -> None:
        await self._change(_PICTURES_POSTED, _message(job_id, message))

    async def delivered(self, job_id: str, *, message: MessageRef, now: datetime) -> bool:
        """The job is due at once: its card has to become a link."""
        return await self._change(_DELIVERED, {**_message(job_id, message), "now_ms": ms(now)})

    async def delivery_failed(self, job_id: str, *, next_at: datetime) -> None:
        await self._change(_DELIVERY_FAILED, {"job_id": job_id, "next_at_ms": ms(next_at)})

    async def give_up_delivery(self, job_id: str, *, now: datetime) -> bool:
        """The job is due at once: its card has to say so."""
        return await self._change(_GIVE_UP, {"job_id": job_id, "now_ms": ms(now)})


def _message(job_id: str, message: MessageRef) -> dict[str, object]:
    return {"job_id": job_id, "channel_id": message.channel_id, "message_id": message.message_id}
