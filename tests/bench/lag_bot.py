"""`gallop run`, with a task in its event loop that writes down by how much the loop is late.

The first argument is the file to write at the end: pairs of Unix time and lateness, in seconds, as doubles.
"""

import asyncio
import logging
import signal
import sys
import time
from array import array
from pathlib import Path

from bot import logs
from bot.app import open_app
from bot.config import load_settings

_EVERY_S = 0.01


async def _sample(samples: array) -> None:
    while True:
        due_s = time.perf_counter() + _EVERY_S
        await asyncio.sleep(_EVERY_S)
        samples.extend((time.time(), time.perf_counter() - due_s))


async def main(target: Path) -> None:
    settings = load_settings(None)
    logs.configure(level=logging.INFO, secrets=settings.secrets())
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    samples = array("d")
    async with open_app(settings) as app:
        sampling = asyncio.create_task(_sample(samples))
        await app.run(stop)
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
    with target.open("wb") as file:
        samples.tofile(file)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
