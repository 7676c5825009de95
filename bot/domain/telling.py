"""Telling people: the card, the video message and the honest end, each until Discord has it or three days passed."""

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.errors import DeliveryFailed
from bot.domain.job import FINAL_STATES, CardFace, Delivery, Ending, Job, JobState
from bot.domain.job_views import JobViews
from bot.domain.line import LINE_MAX_S
from bot.domain.ports import CardView, Clock, Measures, Messenger
from bot.domain.store import End, Store

log = logging.getLogger(__name__)

_DELIVERY_DELAYS_S = (1.0, 2.0, 4.0, 8.0)
_DELIVERY_OFTEN_S = 15.0
_DELIVERY_OFTEN_FOR_S = 600.0
_DELIVERY_SELDOM_S = 600.0
DELIVERY_GIVEN_UP_AFTER_S = 3 * 86_400.0
# Messages older than an hour may only be edited rarely (Discord error 30046).
_CARD_LIFE_S = 3_600.0
_ENDS_WITHOUT_VIDEO = frozenset({CardFace.KEPT, CardFace.CANCELLED, CardFace.FAILED, CardFace.LOST})


def delivery_delay_s(count: int, waited_s: float) -> float:
    """Return the wait after the `count`th failed try: 1, 2, 4, 8, every 15 s for ten minutes, then every ten."""
    if count <= len(_DELIVERY_DELAYS_S):
        return _DELIVERY_DELAYS_S[count - 1]
    return _DELIVERY_OFTEN_S if waited_s < _DELIVERY_OFTEN_FOR_S else _DELIVERY_SELDOM_S


class Teller:
    """Keeps what people see in step with the job.

    `started_at`: a message of before may exist without our knowing. `restored_at`: so may any message of a job that is
    older than the last restore of a backup; None where there was none.
    """

    def __init__(
        self,
        *,
        store: Store,
        messenger: Messenger,
        views: JobViews,
        measures: Measures,
        clock: Clock,
        started_at: datetime,
        restored_at: datetime | None = None,
    ) -> None:
        self._store = store
        self._messenger = messenger
        self._views = views
        self._clock = clock
        self._measures = measures
        self._started_at = started_at
        self._restored_at = restored_at
        self._estimates: dict[str, datetime] = {}
        self._places: dict[str, int] = {}
        # Messages whose posting has begun and is not written down: they may be there.
        self._begun: set[str] = set()
        self._gone_cards: set[str] = set()

    async def open_card(self, job: Job) -> bool:
        """Post a held job's card, or end the job where that is impossible or it has waited an hour.

        Says whether one of these is done; else it is tried again.
        """
        now = self._clock.now()
        if now - job.created_at >= timedelta(seconds=LINE_MAX_S):
            await self._end_held(job, Ending.LINE_TOO_LONG)
            return True
        line_ends_at = job.created_at + timedelta(seconds=LINE_MAX_S)
        if job.card is not None:
            # A job that must not be submitted yet wakes the runner when it may.
            waits_until = job.not_before if job.not_before is not None and job.not_before > now else line_ends_at
            next_at = min(waits_until, line_ends_at)
            await self._store.schedule(job.job_id, state=JobState.HELD, next_at=next_at)
            return True
        look_first = job.card_count > 0 or self._may_be_there("card", job, since=job.created_at)
        view = await self._views.view(job)
        try:
            card = await self._messenger.post_card(view, look_first=look_first)
        except DeliveryFailed as error:
            log.warning("card not posted job_id=%s permanent=%s: %s", job.job_id, error.permanent, error)
            await self._store.card_failed(job.job_id)
            if error.permanent:
                await self._end_held(job, Ending.PLACE_GONE)
                return True
            delay_s = delivery_delay_s(job.card_count + 1, (now - job.created_at).total_seconds())
            await self._store.schedule(
                job.job_id, state=JobState.HELD, next_at=min(now + timedelta(seconds=delay_s), line_ends_at)
            )
            return False
        self._note_shown(view)
        await self._store.card_posted(job.job_id, card=card, face=job.face)
        self._begun.discard(f"card {job.job_id}")
        await self._store.schedule(job.job_id, state=JobState.HELD, next_at=line_ends_at)
        log.info("card posted job_id=%s", job.job_id)
        return True

    def _may_be_there(self, message: str, job: Job, *, since: datetime) -> bool:
        """Say whether a message may be there already, and note that its posting begins."""
        key = f"{message} {job.job_id}"
        begun = key in self._begun
        self._begun.add(key)
        restored = self._restored_at is not None and job.created_at < self._restored_at
        return begun or restored or self._is_of_before(since)

    def _is_of_before(self, since: datetime) -> bool:
        """Say whether a time lies before this life of the process; one to come is of before the clock was set back."""
        return since < self._started_at or since > self._clock.now()

    async def refresh_card(self, job_id: str) -> None:
        """Show an unfinished job's present face; a failure is only logged, since the next change shows it again."""
        job = await self._store.job(job_id)
        if job is None or job.card is None or self._is_old(job):
            return
        if job.state in FINAL_STATES and job.delivery is not Delivery.DUE:
            return
        view = await self._views.view(job)
        self._note_shown(view)
        try:
            await self._messenger.edit_card(view)
        except DeliveryFailed as error:
            log.warning("card not edited job_id=%s permanent=%s: %s", job_id, error.permanent, error)
            if error.permanent:
                self._gone_cards.add(job_id)
        else:
            await self._store.card_shown(job_id, face=job.face)

    def is_stale(self, job: Job) -> bool:
        """Say whether the card of an unfinished job shows an older face, or an estimate that is past."""
        estimate = self._estimates.get(job.job_id)
        return job.face is not job.card_face or (estimate is not None and estimate <= self._clock.now())

    def place_shown(self, job_id: str) -> int | None:
        """Return the place in line that the card names, None where it names none or that is not known any more."""
        return self._places.get(job_id)

    def _note_shown(self, view: CardView) -> None:
        """Remember what a card says that grows old: the estimate and the place in line."""
        job_id = view.job.job_id
        self._forget_shown(job_id)
        if view.usually_done_at is not None:
            self._estimates[job_id] = view.usually_done_at
        if view.place_in_line is not None:
            self._places[job_id] = view.place_in_line

    def _forget_shown(self, job_id: str) -> None:
        self._gone_cards.discard(job_id)
        self._estimates.pop(job_id, None)
        self._places.pop(job_id, None)

    async def deliver(self, job: Job) -> None:
        """Post the video; once it is there, the card shrinks to a link."""
        now = self._clock.now()
        since = job.delivery_since or now
        look_first = job.delivery_count > 0 or self._may_be_there("video", job, since=since)
        view = await self._views.view(job)
        try:
            message = await self._messenger.post_video(view, look_first=look_first)
        except DeliveryFailed as error:
            log.warning("video not posted job_id=%s permanent=%s: %s", job.job_id, error.permanent, error)
            waited_s = (now - since).total_seconds()
            if error.permanent or waited_s >= DELIVERY_GIVEN_UP_AFTER_S:
                log.error("delivery given up job_id=%s", job.job_id)
                await self._store.give_up_delivery(job.job_id, now=now)
                self._begun.discard(f"video {job.job_id}")
                return
            delay_s = delivery_delay_s(job.delivery_count + 1, waited_s)
            await self._store.delivery_failed(job.job_id, next_at=now + timedelta(seconds=delay_s))
            if job.card_face is not job.face:
                await self.refresh_card(job.job_id)
            return
        if await self._store.delivered(job.job_id, message=message, now=self._clock.now()):
            log.info("video posted job_id=%s", job.job_id)
            self._measures.video_posted(seconds=(self._clock.now() - since).total_seconds())
        self._begun.discard(f"video {job.job_id}")

    async def show_end(self, job: Job) -> bool:
        """Show a final face on the card, or explain the end in a message of its own; say whether that is done."""
        self._forget_shown(job.job_id)
        view = await self._views.view(job)
        try:
            if job.card is None and self._may_have_card(job) and (card := await self._messenger.find_card(view)):
                await self._store.card_posted(job.job_id, card=card, face=CardFace.HELD)
                job = replace(job, card=card)
                view = replace(view, job=job)
            if job.card is None and job.face in {CardFace.CANCELLED, CardFace.DELIVERED}:
                return await self._shown(job)
            if job.card is not None and not self._is_old(job):
                try:
                    await self._messenger.edit_card(view)
                    return await self._shown(job)
                except DeliveryFailed as error:
                    if not error.permanent:
                        raise
                    log.warning("card is gone job_id=%s: %s", job.job_id, error)
            if job.face in _ENDS_WITHOUT_VIDEO:
                look_first = job.card_count > 0 or self._may_be_there("end", job, since=job.since_at)
                await self._messenger.explain(view, look_first=look_first)
        except DeliveryFailed as error:
            return await self._tell_again(job, error)
        return await self._shown(job)

    def _may_have_card(self, job: Job) -> bool:
        """Say whether a card may be in the channel although it was not written down: the posting was cut off."""
        begun = f"card {job.job_id}" in self._begun
        return begun or job.card_count > 0 or self._is_of_before(job.created_at)

    async def _tell_again(self, job: Job, error: DeliveryFailed) -> bool:
        log.warning("end not shown job_id=%s permanent=%s: %s", job.job_id, error.permanent, error)
        now = self._clock.now()
        waited_s = (now - job.since_at).total_seconds()
        if error.permanent or waited_s >= DELIVERY_GIVEN_UP_AFTER_S:
            return await self._shown(job)
        await self._store.card_failed(job.job_id)
        next_at = now + timedelta(seconds=delivery_delay_s(job.card_count + 1, waited_s))
        await self._store.schedule(job.job_id, state=job.state, next_at=next_at)
        return False

    async def _shown(self, job: Job) -> bool:
        await self._store.card_shown(job.job_id, face=job.face)
        self._begun -= {f"card {job.job_id}", f"end {job.job_id}"}
        return True

    def shows_soon(self, job: Job) -> datetime | None:
        """Return when to try again to show an unfinished job's face; None where its card shows it or is too old."""
        if job.card is None or job.face is job.card_face or self._is_old(job) or job.job_id in self._gone_cards:
            return None
        return self._clock.now() + timedelta(seconds=_DELIVERY_OFTEN_S)

    async def _end_held(self, job: Job, ending: Ending) -> None:
        log.warning("job ends in line job_id=%s ending=%s", job.job_id, ending.value)
        await self._store.end(
            job.job_id, states=(JobState.HELD,), to=JobState.FAILED, end=End(ending), now=self._clock.now()
        )

    def _is_old(self, job: Job) -> bool:
        return self._clock.now() - job.created_at >= timedelta(seconds=_CARD_LIFE_S)


def is_told(job: Job) -> bool:
    """Say whether everything that people should see of a final job has been shown."""
    return job.delivery is not Delivery.DUE and job.card_face is job.face
