"""Has each picture checked and repaired in a bounded child process: a hostile one can end only that child."""

import asyncio
import tempfile
from dataclasses import asdict
from pathlib import Path

from bot.adapters.media import child
from bot.adapters.media.images import Prepared
from bot.domain.errors import PictureProblem, PictureRejected, StoreFailed, VideoUnusable
from bot.domain.request import Mode, PictureRules

# The slowest honest picture, 50 megapixels, takes 2.5 s of one core.
_TIMEOUT_S = 30.0


async def check(
    data: bytes, *, position: int, rules: PictureRules, ratio: str | None, mode: Mode, bytes_max: int
) -> Prepared:
    """Do as `images.prepare` does. A picture that takes too long or too much memory is damaged.

    Raises:
        PictureRejected: it cannot be used or repaired.
        StoreFailed: there is no room on the disk to work in.
    """
    request = {"position": position, "rules": asdict(rules), "ratio": ratio, "mode": mode.value, "bytes_max": bytes_max}
    try:
        with tempfile.TemporaryDirectory(prefix="gallop-") as name:
            source, target = Path(name) / "picture", Path(name) / "repaired"
            await asyncio.to_thread(source.write_bytes, data)
            paths = {"path": str(source), "target": str(target)}
            answer = await child.run("picture", {**request, **paths}, timeout_s=_TIMEOUT_S)
            if "problem" in answer:
                raise PictureRejected(**{**answer, "problem": PictureProblem(answer["problem"]), "mode": mode})
            return Prepared(data=await asyncio.to_thread(target.read_bytes), **answer)
    except VideoUnusable as error:
        raise PictureRejected(position, PictureProblem.DAMAGED, mode) from error
    except OSError as error:
        raise StoreFailed(f"picture not checked: {type(error).__name__}") from error
