"""The `gallop` command: starts what was asked for, and turns what stops it into one sentence and an exit code."""

import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot import logs
from bot.config import Settings, load_settings
from bot.domain.errors import StartFailed
from bot.domain.money import show_usd
from bot.domain.pricing import Capabilities
from bot.domain.reporting import AskedPeriod
from bot.domain.windows import Window

if TYPE_CHECKING:
    from bot.app import App
    from bot.sandbox.demo import Report

_BOT_ENDS_WITHIN_S = 15.0


@click.group(help="Gallop: a slash command, pictures, and a HappyHorse video in the channel, within a quota.")
@click.version_option(package_name="gallop")
def cli() -> None:
    """Collect the subcommands."""


def main() -> None:
    """Run the command line; a StartFailed is its sentence on stderr and its exit code."""
    # Database, pictures and backups are nobody else's on this machine.
    os.umask(0o077)
    try:
        cli.main(standalone_mode=True)
    except StartFailed as error:
        print(error.sentence, file=sys.stderr)
        sys.exit(error.exit_code)


@cli.command(help="Run the bot until SIGTERM or Ctrl-C.")
def run() -> None:
    settings = _configured()
    _in_loop(lambda stop: _run(settings, stop))


@cli.command(help="Try the whole bot on this machine alone: no account, no key, no cost.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write what came of it as JSON.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Where the posted videos are saved.",
)
def demo(report: Path | None, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    result = asyncio.run(_demo(folder))
    _write(report, result)
    sys.exit(0 if result.ok else 1)


@cli.command(help="Check the set-up and say what to do about what is wrong.")
@click.option(
    "--deep", is_flag=True, help="Also try every path that costs nothing: messages, pictures, video, callbacks."
)
def doctor(deep: bool) -> None:
    from bot import app

    settings = load_settings()
    logs.configure(level=logging.ERROR, secrets=settings.secrets())
    checks = asyncio.run(app.check_up(settings, deep=deep))
    for check in checks:
        print(f"{check.mark} {check.text}" + (f"\n    → {check.next_step}" if check.next_step else ""))
    sys.exit(0 if all(check.ok for check in checks) else 1)


@cli.command(help="Stop spending: no new jobs, no submissions. Jobs already at a gateway go on.")
def pause() -> None:
    _switch(paused=True, done="Paused. Nothing is submitted until `gallop resume`; jobs already at a gateway go on.")


@cli.command(help="Allow spending again.")
def resume() -> None:
    _switch(paused=False, done="Resumed.")


_FILE = click.Path(dir_okay=False, path_type=Path)


@cli.command(help="Copy the database to a new FILE, also while the bot runs.")
@click.argument("file", type=_FILE)
def backup(file: Path) -> None:
    from bot import app

    app.back_up(_configured(), file)
    print(f"Backed up to {file.resolve()}: jobs, ledger and quotas. Pictures and videos are files in DATA_DIR.")


@cli.command(help="Put the backup FILE in the place of the database; the bot must be stopped.")
@click.argument("file", type=_FILE)
def restore(file: Path) -> None:
    from bot import app

    settings = _configured()
    aside = app.restore(settings, file)
    print(f"Restored to {settings.database_path.resolve()}." + (f" The old database is {aside}." if aside else ""))
    print("What happened since the backup is not in its books.")
    print("Jobs that were in line in it have failed and cost nothing: they may have been made since.")
    print("Data that people deleted since is back with it: whoever did that must delete it again.")


@cli.command(help="Tell what was spent, also while the bot runs: as a table, and with --out as files too.")
@click.option(
    "--period",
    type=click.Choice([window.value for window in Window]),
    help="The running day, week or month. Default: month.",
)
@click.option(
    "--from", "first", metavar="DATE", help="The first day (UTC), such as 2026-11-01, in the place of a period."
)
@click.option("--until", "last", metavar="DATE", help="The last day. Default: today.")
@click.option("--guild", "guild_id", type=int, metavar="ID", help="One server alone, its days in its time zone.")
@click.option(
    "--out", "folder", type=click.Path(file_okay=False, path_type=Path), help="Write PNG, CSV and JSON there."
)
def report(period: str | None, first: str | None, last: str | None, guild_id: int | None, folder: Path | None) -> None:
    from bot import app

    settings = load_settings()
    logs.configure(level=logging.ERROR, secrets=settings.secrets())
    asked = AskedPeriod(Window(period) if period else None, first, last)
    for line in asyncio.run(app.report(settings, asked, guild_id=guild_id, folder=folder)):
        print(line)


def _configured() -> Settings:
    settings = load_settings()
    logs.configure(level=logging.INFO, secrets=settings.secrets())
    return settings


async def _run(settings: Settings, stop: asyncio.Event) -> None:
    from bot import app

    _ = settings.bot_token
    async with app.open_app(settings) as opened:
        for line in _parts_table(opened):
            print(line, flush=True)
        await opened.run(stop)


def _parts_table(app: "App") -> list[str]:
    """Return what start-up prints: each part and its state."""
    settings, limits = app.settings, app.settings.limits()
    guilds = "every guild" if settings.guild_ids is None else f"{len(settings.guild_ids)} listed guilds"
    if settings.guild_ids == frozenset():
        guilds = "guilds owned by an operator"
    rows = [
        ("database", str(settings.database_path)),
        ("files", f"{settings.data_dir}, kept {settings.retention_days} days"),
        ("discord", settings.discord_api_url),
        ("pictures", f"hosted by {settings.attachment_host.value}"),
        ("public address", settings.public_url or "none: gateways do not call back"),
        (
            "operators told by",
            f"channel {settings.operator_channel_id}" if settings.operator_channel_id else "direct message",
        ),
        ("paid gateways for", guilds),
        (
            "quota",
            f"a person {_shown(limits.user_day_microusd)} a day, {_shown(limits.user_month_microusd)} a month; a guild "
            f"{_shown(limits.guild_month_microusd)} a month; the bot {_shown(limits.bot_month_microusd)} a month",
        ),
        *((gateway.capabilities.title, _gateway_state(gateway.capabilities)) for gateway in app.gateways.values()),
    ]
    return [f"{name:<18} {state}" for name, state in rows]


def _gateway_state(facts: Capabilities) -> str:
    if facts.free:
        return "free previews"
    if not facts.configured:
        return f"off: {facts.gateway.upper()}_KEY is not set"
    prices = [f"{name} {show_usd(row.price_microusd(5))} for 5 s" for name, row in facts.prices.items()]
    return ", ".join(prices) or "off: no price is set"


def _shown(limit_microusd: int | None) -> str:
    return "unlimited" if limit_microusd is None else show_usd(limit_microusd)


def _switch(*, paused: bool, done: str) -> None:
    from bot import app

    settings = _configured()
    runs = asyncio.run(app.set_paused(settings, paused=paused))
    print(done)
    print(f"{'A bot runs' if runs else 'No bot runs at the moment'} on {settings.database_path.resolve()}.")


def _in_loop(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run until done; SIGTERM and Ctrl-C set the event instead of tearing things apart."""

    async def run_with_signals() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stop.set)
        await work(stop)

    asyncio.run(run_with_signals())


async def _demo(folder: Path) -> "Report":
    from bot import app
    from bot.sandbox.demo import run_demo

    with tempfile.TemporaryDirectory(prefix="gallop-demo-") as home:
        data = {"DATABASE_URL": f"sqlite:///{home}/gallop.db", "DATA_DIR": f"{home}/data"}

        def start_bot(settings: Mapping[str, str]) -> Any:
            return _bot_process({**settings, **data}, home=Path(home), log_path=folder / "bot.log")

        return await run_demo(
            folder=folder,
            start_bot=start_bot,
            read_books=lambda: app.read_books(Path(home) / "gallop.db"),
            say=lambda line: print(line, flush=True),
        )


def _write(report: Path | None, result: "Report") -> None:
    from bot.sandbox.demo_table import table

    if report is not None:
        report.write_text(json.dumps(result.as_json(), indent=2) + "\n")
    for line in table(result):
        print(line)


@asynccontextmanager
async def _bot_process(settings: Mapping[str, str], *, home: Path, log_path: Path) -> AsyncIterator[None]:
    """Run `gallop run` as a process of its own, as an operator would, with these settings and no others."""
    known = {name.upper() for name in Settings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name.upper() not in known}
    with log_path.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "run"),
            cwd=home,
            env={**inherited, "PYTHONPATH": str(Path(__file__).parents[1]), **settings},
            stdout=output,
            stderr=output,
        )
        try:
            yield
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(_BOT_ENDS_WITHIN_S):
                exit_code = await process.wait()
            if exit_code:
                raise StartFailed(f"The bot ended with exit code {exit_code}; see {log_path}.", 1)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


if __name__ == "__main__":
    main()
