"""Stand-ins for the world outside the domain: they record what they were told and can be told to fail."""

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.domain.charts import Chart, NoPicture
from bot.domain.errors import DirectMessagesClosed, UploadFailed
from bot.domain.job import Attempt, Job, MessageRef, Video
from bot.domain.notices import Notice
from bot.domain.ports import Accepted, CardView, Progress, Reading, Submission
from bot.domain.pricing import Capabilities, ModeCapability, PriceRow
from bot.domain.request import RATIOS, Attachment, Image, Mode, PictureRules, Resolution

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
RULES = PictureRules(count_min=1, count_max=9, short_side_min_px=400, bytes_max=10_000_000)


class FakeClock:
    """A clock that stands still until `advance`."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None], asyncio.Event | None]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed_s

    async def sleep(self, delay_s: float) -> None:
        await self._wait(None, delay_s)

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        await self._wait(event, timeout_s)
        return event.is_set()

    async def _wait(self, event: asyncio.Event | None, timeout_s: float) -> None:
        timer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleeper = (self._elapsed_s + timeout_s, timer, event)
        self._sleepers.append(sleeper)
        waiting = asyncio.ensure_future((event or asyncio.Event()).wait())
        try:
            await asyncio.wait({timer, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)
            waiting.cancel()
            timer.cancel()

    @property
    def sleeping(self) -> int:
        """How many tasks wait for time to pass and nothing else."""
        return sum(event is None for _, _, event in self._sleepers)

    def is_waited_for(self, event: asyncio.Event) -> bool:
        return any(waited_for is event for _, _, waited_for in self._sleepers)

    def turn(self, seconds: float) -> None:
        self._elapsed_s += seconds
        self._now += timedelta(seconds=seconds)
        self._wake()

    def set_back(self, seconds: float) -> None:
        """Set the clock on the wall back; what measures elapsed time goes on."""
        self._now -= timedelta(seconds=seconds)

    def _wake(self) -> None:
        woken = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._elapsed_s]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper not in woken]
        for _, timer, _ in woken:
            if not timer.done():
                timer.set_result(None)


def capabilities(gateway: str = "hiapi", **changes) -> Capabilities:
    modes = {
        mode: ModeCapability(
            model=f"model/{mode}",
            ratios=() if mode is Mode.IMAGE else RATIOS,
            pictures=None if mode is Mode.TEXT else RULES,
            picture_token="[Image {n}]",
        )
        for mode in Mode
    }
    facts = {
        "gateway": gateway,
        "title": gateway.title(),
        "model_title": "HappyHorse 1.1",
        "modes": modes,
        "prices": {
            Resolution.P720: PriceRow(second_microusd=129_000),
            Resolution.P1080: PriceRow(second_microusd=229_000),
        },
        "requests_per_min": 6_000,
    }
    return Capabilities(**{**facts, **changes})


class FakeGateway:
    """Answers from two scripts; with an empty script it accepts, and a job is finished at the first read."""

    def __init__(self, facts: Capabilities | None = None) -> None:
        self.capabilities = facts or capabilities()
        self.submitted: list[Attempt] = []
        self.reads: Counter[str] = Counter()
        self.submit_script: deque[Accepted | Exception] = deque()
        self.read_script: deque[Reading | Exception] = deque()
        self.fetch_script: deque[Exception] = deque()
        self.fetched: list[str] = []
        self.blocked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def body(self, submission: Submission) -> bytes:
        return f"{submission.request.prompt}|{','.join(submission.addresses)}".encode()

    async def submit(self, attempt: Attempt) -> Accepted:
        self.submitted.append(attempt)
        self.blocked += 1
        await self.gate.wait()
        self.blocked -= 1
        answer = self.submit_script.popleft() if self.submit_script else Accepted(f"gw-{attempt.idempotency_key}")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def read(self, gateway_job_id: str) -> Reading:
        self.reads[gateway_job_id] += 1
        finished = Reading(Progress.FINISHED, video_address="https://cdn.example/video.mp4")
        answer = self.read_script.popleft() if self.read_script else finished
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def fetch(self, address: str, target: Path) -> None:
        if self.fetch_script:
            raise self.fetch_script.popleft()
        self.fetched.append(address)

    def is_genuine(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
        return True

    def callback_job_id(self, body: bytes) -> str | None:
        return body.decode() or None

    async def aclose(self) -> None:
        self.gate.set()


class FakeCallbacks:
    """Addresses as a bot with a public address gives them."""

    def address(self, *, gateway: str, job_id: str, token: str) -> str | None:
        return f"https://bot.example/callbacks/{gateway}/{job_id}/{token}"


class FakeMeasures:
    """Keeps every figure it was given."""

    def __init__(self) -> None:
        self.stored_s: list[float] = []
        self.posted_s: list[float] = []

    def video_stored(self, gateway: str, *, seconds: float) -> None:
        self.stored_s.append(seconds)

    def video_posted(self, *, seconds: float) -> None:
        self.posted_s.append(seconds)


class FakeOperators:
    """Keeps what operators were told; `script` holds errors to raise first."""

    def __init__(self) -> None:
        self.told: list[Notice] = []
        self.script: deque[Exception] = deque()

    async def tell(self, notice: Notice) -> None:
        if self.script:
            raise self.script.popleft()
        self.told.append(notice)


class FakeMessenger:
    """A channel that numbers its messages; `script` holds errors to raise, by the name of the call."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []
        self.looked: list[str] = []
        self.script: dict[str, deque[Exception]] = {}
        self.reachable = True
        self.unwritten_cards: dict[str, MessageRef] = {}
        self.direct_messages_open = True

    def _say(self, call: str, view: CardView) -> MessageRef:
        if self.script.get(call):
            raise self.script[call].popleft()
        self.said.append((call, view.job.job_id, view.job.face.value))
        return MessageRef(view.job.channel_id, len(self.said))

    def told(self, call: str) -> list[str]:
        return [face for name, _, face in self.said if name == call]

    async def knock(self, *, user_id: int, prompt: str, key: str) -> MessageRef:
        if not self.direct_messages_open:
            raise DirectMessagesClosed
        self.said.append(("knock", key, prompt))
        return MessageRef(user_id, len(self.said))

    async def unknock(self, message: MessageRef) -> None:
        self.said.append(("unknock", str(message.message_id), ""))

    async def post_card(self, view: CardView, *, look_first: bool) -> MessageRef:
        self.looked += ["post_card"] if look_first else []
        return self._say("post_card", view)

    async def find_card(self, view: CardView) -> MessageRef | None:
        return self.unwritten_cards.get(view.job.job_id)

    async def edit_card(self, view: CardView) -> None:
        self._say("edit_card", view)

    async def explain(self, view: CardView, *, look_first: bool) -> MessageRef:
        return self._say("explain", view)

    async def post_video(self, view: CardView, *, look_first: bool) -> MessageRef:
        self.looked += ["post_video"] if look_first else []
        return self._say("post_video", view)

    async def may_deliver(self, job: Job) -> bool:
        return self.reachable


class FakePictures:
    """Takes every attachment as a good picture."""

    def __init__(self) -> None:
        self.kept: set[str] = set()
        self.ratios: list[str | None] = []
        self._names = itertools.count(1)

    async def take(
        self, attachments: tuple[Attachment, ...], *, rules: PictureRules, ratio: str | None, mode: Mode
    ) -> tuple[Image, ...]:
        self.ratios.append(ratio)
        images = tuple(Image(f"{next(self._names)}-{a.name}", "image/jpeg", 800, 600, 1000) for a in attachments)
        self.kept |= {image.name for image in images}
        return images

    async def discard(self, images: tuple[Image, ...]) -> None:
        self.kept -= {image.name for image in images}


class FakeLibrary:
    """A folder without checks; `free` is the room left on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.free = 10**12
        self.discarded: list[str] = []
        self.purges: list[tuple[datetime, frozenset[str]]] = []

    def path(self, name: str) -> Path:
        return self._folder / name

    def incoming(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.part"

    async def keep_video(self, job_id: str) -> Video:
        return Video(f"{job_id}.mp4", 5, 5.0, 1280, 720)

    async def free_bytes(self) -> int:
        return self.free

    async def discard(self, names: Sequence[str]) -> None:
        self.discarded += names

    async def purge(self, *, before: datetime, keep: frozenset[str]) -> int:
        self.purges.append((before, keep))
        return 0


class FakeHosting:
    """Gives made-up addresses; `script` holds failures."""

    def __init__(self) -> None:
        self.script: deque[UploadFailed] = deque()

    async def addresses(self, job: Job) -> tuple[str, ...]:
        if self.script:
            raise self.script.popleft()
        return tuple(f"https://cdn.example/{image.name}" for image in job.images)


class FakePlotter:
    """Draws nothing; `charts` are those it was given, `answer` may be why there is no picture."""

    def __init__(self) -> None:
        self.prepared = 0
        self.charts: list[Chart] = []
        self.answer: bytes | NoPicture = b"\x89PNG\r\n\x1a\n"

    async def prepare(self) -> None:
        self.prepared += 1

    async def draw(self, chart: Chart) -> bytes | NoPicture:
        self.charts.append(chart)
        return self.answer
