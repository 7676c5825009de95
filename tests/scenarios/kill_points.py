"""The bot with a tripwire wherever it commits, or a request or its answer passes: each is noted, and one may kill it.

The points are found by wrapping the store's writer and the HTTP clients and servers of the process, from outside, so
that a new commit or request is a new point by itself. `python -m tests.scenarios.kill_points` starts lives: it has
everything imported, reads one order per line (JSON), and forks. What happens in a life goes to the order's `report`:

    born PID
    point OCCURRENCE LABEL
    ended EXIT_CODE             negative: the signal that ended it
"""

import importlib
import json
import os
import re
import signal
import sqlite3
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp
import httpx
from aiohttp import web

import bot.__main__
import bot.app
from bot.adapters.discord.client import GallopBot
from bot.adapters.store import connections, writer
from bot.domain import breakers, submitting

# For so long discord.py waits for more guilds before it calls itself ready.
GUILD_READY_TIMEOUT_S = 0.1
# For so long at least a gateway that is busy is left alone.
BUSY_MIN_S = 0.2
# What httpx imports at its first request.
_IMPORTED_LATE = ("anyio._backends._asyncio", "concurrent.futures.thread", "httpcore", "importlib.resources.readers")
# The words of a path that are the same in every run; anything else is an id, a token or a file's name.
_SAME_IN_EVERY_RUN = re.compile(r"v\d+|[a-z_@-]{0,24}\d?(\.[a-z0-9]{3,4})?")
_PLUMBING = frozenset({connections.__name__, writer.__name__})

Pass = Callable[[str], None]


class Point(NamedTuple):
    """The `occurrence`th time, from 1, that a life passes what `label` names."""

    label: str
    occurrence: int

    @classmethod
    def read(cls, line: str) -> Self:
        """Read `OCCURRENCE LABEL`."""
        occurrence, _, label = line.partition(" ")
        return cls(label, int(occurrence))

    def __str__(self) -> str:
        return f"{self.occurrence} {self.label}"


class Tripwire:
    """Reports every point that is passed; at `kill_at` the process ends as by a power cut, before it goes on."""

    def __init__(self, report: int, kill_at: Point | None) -> None:
        self._report = report
        self._kill_at = kill_at
        self._passed: Counter[str] = Counter()

    def __call__(self, label: str) -> None:
        # From the loop or from the database's thread, but one label always comes from the same one.
        self._passed[label] += 1
        point = Point(label, self._passed[label])
        _tell(self._report, f"point {point}")
        if point == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def stretch(passed: Pass) -> None:
    """Lay the wire through everything that commits and everything that talks."""
    _through_the_writer(passed)
    _through_other_commits(passed)
    _through_httpx(passed)
    _through_aiohttp(passed)
    _through_the_web_server(passed)


def steady_path(address: str) -> str:
    """Return an address's path with everything that differs from run to run as `*`."""
    parts = urlsplit(address).path.split("/")
    return "/".join(part if _SAME_IN_EVERY_RUN.fullmatch(part) else "*" for part in parts)


@dataclass(frozen=True)
class _Named:
    """An operation's work, and what it is called."""

    name: str
    work: Callable[[sqlite3.Connection], Any]

    def __call__(self, db: sqlite3.Connection) -> Any:
        return self.work(db)


def _through_the_writer(passed: Pass) -> None:
    """Label each operation by the store's method and by who asked for it; it may share its batch with any others."""
    ask, run, commit = writer.Writer.run, writer._Operation.run, writer.GroupCommit.commit

    async def ask_by_name(self: writer.Writer, work: Callable[[sqlite3.Connection], Any]) -> Any:
        return await ask(self, _Named(_who_asked(sys._getframe(1)), work))

    def run_and_pass(self: Any, db: sqlite3.Connection) -> None:
        run(self, db)
        passed(f"{self.work.name}: written, not committed")

    def commit_and_pass(self: writer.GroupCommit) -> None:
        names = [operation.work.name for operation in self.batch]
        commit(self)
        for name in names:
            passed(f"{name}: committed")

    writer.Writer.run = ask_by_name  # type: ignore[method-assign, assignment]
    writer._Operation.run = run_and_pass  # type: ignore[method-assign]
    writer.GroupCommit.commit = commit_and_pass  # type: ignore[method-assign]


def _who_asked(frame: FrameType | None) -> str:
    names = [f.f_code.co_qualname.replace("<locals>.", "") for f in _callers(frame)][:2]
    return " for ".join(names)


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        if frame.f_globals.get("__name__") not in _PLUMBING:
            yield frame
        frame = frame.f_back


def _through_other_commits(passed: Pass) -> None:
    """Connections that are not the writer's: the migrations, and whatever may come."""
    connect = sqlite3.connect

    class Wired(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql.strip().rstrip(";").upper() not in {"COMMIT", "END"}:
                return super().execute(sql, *parameters)
            with _around(passed, _who_asked(sys._getframe(1)), "written, not committed", "committed"):
                return super().execute(sql, *parameters)

        def commit(self) -> None:
            with _around(passed, _who_asked(sys._getframe(1)), "written, not committed", "committed"):
                super().commit()

    def connect_wired(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, **{"factory": Wired, **options})

    sqlite3.connect = connect_wired  # type: ignore[assignment]


@contextmanager
def _around(passed: Pass, name: str, before: str, after: str) -> Iterator[None]:
    passed(f"{name}: {before}")
    yield
    passed(f"{name}: {after}")


def _through_httpx(passed: Pass) -> None:
    send, close = httpx.AsyncClient.send, httpx.Response.aclose

    async def send_and_pass(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        with _around(passed, _title(request), "leaves", "answered"):
            return await send(self, request, **options)

    async def close_and_pass(self: httpx.Response) -> None:
        """A body that is read to its end, or far enough, is closed."""
        if not self.is_closed:
            passed(f"{_title(self.request)}: read")
        await close(self)

    httpx.AsyncClient.send = send_and_pass  # type: ignore[method-assign, assignment]
    httpx.Response.aclose = close_and_pass  # type: ignore[method-assign]


def _title(request: httpx.Request) -> str:
    return f"{request.method} {steady_path(str(request.url))}"


def _through_aiohttp(passed: Pass) -> None:
    send = aiohttp.ClientSession._request

    async def send_and_pass(self: aiohttp.ClientSession, method: str, address: Any, **options: Any) -> Any:
        with _around(passed, f"{method} {steady_path(str(address))}", "leaves", "answered"):
            return await send(self, method, address, **options)

    aiohttp.ClientSession._request = send_and_pass  # type: ignore[method-assign]


def _through_the_web_server(passed: Pass) -> None:
    make = web.Application.__init__

    @web.middleware
    async def wire(request: web.Request, handler: Callable[[web.Request], Any]) -> Any:
        name = f"{request.method} {steady_path(request.path)}"
        passed(f"{name}: arrives")
        try:
            return await handler(request)
        finally:
            passed(f"{name}: handled")

    def make_wired(self: web.Application, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **{**options, "middlewares": (wire, *options.get("middlewares", ()))})

    web.Application.__init__ = make_wired  # type: ignore[method-assign]


def _tell(report: int, line: str) -> None:
    os.write(report, f"{line}\n".encode())


def serve() -> None:
    """Start a life for each order: environment, folder, log, report and kill_at (a Point as text, or empty)."""
    for module in _IMPORTED_LATE:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Not sys.stdin: a fork would inherit what it has read ahead.
    with open(0, "rb", buffering=0, closefd=False) as orders:
        while order := orders.readline():
            if os.fork() == 0:
                _end_with(lambda order=order: _guard(json.loads(order)))


def _guard(order: dict[str, Any]) -> int:
    """Be the parent that tells how the life ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    report = os.open(order["report"], os.O_WRONLY | os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _end_with(lambda: _live(order, report))
    _tell(report, f"born {pid}")
    _, status = os.waitpid(pid, 0)
    _tell(report, f"ended {os.waitstatus_to_exitcode(status)}")
    return 0


def _live(order: dict[str, Any], report: int) -> int:
    for target, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, os.devnull, os.O_WRONLY),
        (2, order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(path, flags | os.O_CLOEXEC, 0o644), target)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv[1:] = ["run"]
    stretch(Tripwire(report, Point.read(order["kill_at"]) if order["kill_at"] else None))
    _quicken()
    bot.__main__.main()
    return 0


def _quicken() -> None:
    """Leave out what only costs time against a sandbox on loopback, which has no TLS and all guilds at once."""
    GallopBot.__init__.__kwdefaults__["guild_ready_timeout_s"] = GUILD_READY_TIMEOUT_S
    for module in (breakers, submitting):
        assert module.BUSY_MIN_S > BUSY_MIN_S
        module.BUSY_MIN_S = BUSY_MIN_S
    ssl.SSLContext.load_verify_locations = lambda *_, **__: None  # type: ignore[method-assign]


def _end_with(work: Callable[[], int]) -> None:
    """End this fork with the exit code of its work, and never return into what was forked."""
    exit_code = 1
    try:
        exit_code = work()
    except SystemExit as asked:
        exit_code = asked.code if isinstance(asked.code, int) else int(asked.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, the fork ends below
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(exit_code)


if __name__ == "__main__":
    serve()
