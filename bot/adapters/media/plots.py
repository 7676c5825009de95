"""Has reports drawn, in a child process that is kept for the next one."""

import asyncio
import logging
import tempfile
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from bot.adapters.media.child import KeptChild
from bot.domain.charts import Chart, NoPicture
from bot.domain.errors import VideoUnusable

log = logging.getLogger(__name__)

# The first drawing of all looks through every font of the machine, which takes seconds; the next ones find the list.
_QUICK_S = 30.0
_TIMEOUT_S = 60.0


class KeptPlotter:
    """The Plotter of bot.domain.charts by Matplotlib, which is an extra. `cache` is a folder for its list of fonts."""

    def __init__(self, cache: Path) -> None:
        # Its arithmetic would start a thread for each core, which a picture has no work for.
        environment = {"MPLCONFIGDIR": str(cache.absolute()), "OPENBLAS_NUM_THREADS": "1"}
        self._child = KeptChild("report", quick_s=_QUICK_S, environment=environment)

    async def prepare(self) -> None:
        if not _is_installed():
            return
        try:
            await self._child.start()
        except OSError as error:
            log.warning("plotting not prepared error=%s", type(error).__name__)

    async def draw(self, chart: Chart) -> bytes | NoPicture:
        if not _is_installed():
            return NoPicture.NOT_INSTALLED
        try:
            with tempfile.TemporaryDirectory(prefix="gallop-report-") as folder:
                target = Path(folder) / "report.png"
                await self._child.run({"chart": asdict(chart), "target": str(target)}, timeout_s=_TIMEOUT_S)
                return await asyncio.to_thread(target.read_bytes)
        except (VideoUnusable, OSError) as error:
            log.warning("report not drawn error=%s", type(error).__name__)
            return NoPicture.FAILED

    async def aclose(self) -> None:
        await self._child.aclose()


def _is_installed() -> bool:
    return find_spec("matplotlib") is not None
