"""The embedded gateway: renders an animatic on this machine, free of charge, one at a time."""

import asyncio
import logging
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from bot.adapters.media.library import write_durably
from bot.adapters.media.render import frame_size, render_to
from bot.domain.errors import GatewayUnavailable, Refusal, SubmissionRefused, VideoUnusable
from bot.domain.job import Attempt
from bot.domain.ports import Accepted, Library, Progress, Reading, Submission
from bot.domain.pricing import Capabilities, Idempotency, ModeCapability
from bot.domain.request import PICTURES_MAX, RATIO_DEFAULT, RATIOS, Mode, PictureRules

log = logging.getLogger(__name__)

NAME = "animatic"
_LABEL = "Animatic preview"
_JOBS_PER_USER_DAY = 10
_TASK_LIFE_S = 86_400
_RENDERS_MAX = 2
_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")
# The strictest paid gateway's rules, so that what previews well can be bought as it is.
_PICTURE_BYTES_MAX = 10_000_000
_ONE_PICTURE = PictureRules(count_min=1, count_max=1, short_side_min_px=300, bytes_max=_PICTURE_BYTES_MAX)
_REFERENCES = PictureRules(count_min=1, count_max=PICTURES_MAX, short_side_min_px=400, bytes_max=_PICTURE_BYTES_MAX)

_CAPABILITIES = Capabilities(
    gateway=NAME,
    title="Animatic",
    model_title="preview",
    modes={
        Mode.TEXT: ModeCapability("animatic", RATIOS),
        Mode.IMAGE: ModeCapability("animatic", (), pictures=_ONE_PICTURE),
        Mode.REFERENCE: ModeCapability("animatic", RATIOS, pictures=_REFERENCES),
    },
    free=True,
    fetches_pictures=False,
    jobs_per_user_day=_JOBS_PER_USER_DAY,
    idempotency=Idempotency.REPLAY,
    task_life_s=_TASK_LIFE_S,
    requests_per_min=600,
)


class Renderer(Protocol):
    """Writes an MP4 of exactly that size and length.

    Raises:
        VideoUnusable: it could not be made.
    """

    async def __call__(
        self,
        target: Path,
        *,
        prompt: str,
        pictures: Sequence[Path],
        width: int,
        height: int,
        duration_s: int,
        label: str,
    ) -> None: ...


class _Body(BaseModel):
    """What is to be rendered, as it lies on disk; `pictures` are names in the library."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    pictures: tuple[str, ...]
    width: int
    height: int
    duration_s: int


class Animatic:
    """Keeps one ``.json`` a job and the ``.mp4`` rendered from it in its folder; the idempotency key names both.

    So the same submission again is the same job, and what a restart interrupted begins again at the next read.
    """

    def __init__(self, *, folder: Path, library: Library, renderer: Renderer = render_to) -> None:
        self._folder = folder
        self._library = library
        self._renderer = renderer
        self._turn = asyncio.Lock()
        self._renders: dict[str, asyncio.Task[None]] = {}
        self._failed: set[str] = set()
        self._closed = False

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    def body(self, submission: Submission) -> bytes:
        request, images = submission.request, submission.images
        ratio = request.ratio or RATIO_DEFAULT
        if request.mode is Mode.IMAGE:
            ratio = f"{images[0].width}:{images[0].height}"
        width, height = frame_size(request.resolution, ratio)
        body = _Body(
            prompt=request.prompt,
            pictures=tuple(image.name for image in images),
            width=width,
            height=height,
            duration_s=request.duration_s,
        )
        return body.model_dump_json().encode()

    async def submit(self, attempt: Attempt) -> Accepted:
        key = attempt.idempotency_key
        if not _KEY.fullmatch(key):
            raise SubmissionRefused(NAME, "the key is no file name", Refusal.REQUEST)
        try:
            _Body.model_validate_json(attempt.body)
            await asyncio.to_thread(self._write, key, attempt.body)
        except ValidationError as error:
            raise SubmissionRefused(NAME, "the body is not ours", Refusal.REQUEST) from error
        except OSError as error:
            raise SubmissionRefused(NAME, type(error).__name__, Refusal.OTHER) from error
        self._ensure_render(key)
        return Accepted(key)

    async def read(self, gateway_job_id: str) -> Reading:
        """Begins the render again where a restart interrupted it."""
        key = gateway_job_id
        if not _KEY.fullmatch(key):
            raise GatewayUnavailable(NAME, "no such job")
        if await asyncio.to_thread(self._video(key).exists):
            return Reading(Progress.FINISHED, video_address=self._video(key).name)
        if key in self._failed:
            return Reading(Progress.FAILED)
        if not await asyncio.to_thread(self._wish(key).exists):
            raise GatewayUnavailable(NAME, "no such job")
        self._ensure_render(key)
        return Reading(Progress.RUNNING)

    async def fetch(self, address: str, target: Path) -> None:
        stem, suffix = os.path.splitext(address)
        if suffix != ".mp4" or not _KEY.fullmatch(stem):
            raise VideoUnusable(NAME, "not an address of this gateway")
        try:
            await asyncio.to_thread(shutil.copyfile, self._folder / address, target)
        except OSError as error:
            raise GatewayUnavailable(NAME, type(error).__name__) from error

    def is_genuine(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
        return True

    def callback_job_id(self, body: bytes) -> str | None:
        """It calls nobody back."""
        return None

    async def aclose(self) -> None:
        """Stop rendering; called again it does nothing."""
        self._closed = True
        renders = list(self._renders.values())
        for render in renders:
            render.cancel()
        await asyncio.gather(*renders, return_exceptions=True)

    def _wish(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    def _video(self, key: str) -> Path:
        return self._folder / f"{key}.mp4"

    def _write(self, key: str, body: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for file in self._folder.iterdir():
            with suppress(FileNotFoundError):  # a finished render has just been given its name
                if file.stat().st_mtime < time.time() - _TASK_LIFE_S:
                    file.unlink()
        if not self._wish(key).exists():
            write_durably(self._wish(key), body)

    def _ensure_render(self, key: str) -> None:
        if self._closed or key in self._renders or key in self._failed:
            return
        task = asyncio.create_task(self._render(key), name=f"animatic {key}")
        self._renders[key] = task
        task.add_done_callback(lambda _: self._renders.pop(key, None))

    async def _render(self, key: str) -> None:
        async with self._turn:
            for number in range(1, _RENDERS_MAX + 1):
                try:
                    await self._render_once(key)
                except (VideoUnusable, ValidationError, OSError) as error:
                    log.warning(
                        "animatic not rendered gateway_job_id=%s count=%s error=%s", key, number, type(error).__name__
                    )
                else:
                    return
        self._failed.add(key)

    async def _render_once(self, key: str) -> None:
        if await asyncio.to_thread(self._video(key).exists):
            return
        body = _Body.model_validate_json(await asyncio.to_thread(self._wish(key).read_bytes))
        await self._renderer(
            self._video(key),
            prompt=body.prompt,
            pictures=[self._library.path(name) for name in body.pictures],
            width=body.width,
            height=body.height,
            duration_s=body.duration_s,
            label=_LABEL,
        )
        log.info("animatic rendered gateway_job_id=%s width=%s height=%s", key, body.width, body.height)
