"""`gallop report`: the table, the files, and one sentence for what cannot be."""

import asyncio
import csv
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot import app, logs
from bot.__main__ import cli
from bot.adapters.media.plots import KeptPlotter
from bot.adapters.store.migrate import migrate, shipped_migrations
from bot.adapters.store.sqlite import open_store
from bot.domain.charts import NoPicture
from bot.domain.errors import StartFailed
from bot.domain.job import JobState
from tests.adapters.store_fixtures import GUILD, USER, open_in
from tests.fakes import FakePlotter


@pytest.fixture
def plotter(monkeypatch: pytest.MonkeyPatch) -> FakePlotter:
    """Put a plotter in the place of the child process."""
    fake = FakePlotter()
    for name in ("prepare", "draw"):
        monkeypatch.setattr(KeptPlotter, name, lambda _, *chart, name=name: getattr(fake, name)(*chart))
    return fake


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "gallop.db"
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{path}")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "configure", lambda **_: None)
    return path


async def _fill(path: Path) -> None:
    async with open_store(path) as store:
        now = datetime.now(UTC)
        await open_in(store, JobState.STORED, at=now)
        await open_in(store, JobState.HELD, at=now, guild_id=None)


@pytest.fixture
def filled(database: Path) -> Path:
    asyncio.run(_fill(database))
    return database


def gallop(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["report", *arguments], prog_name="gallop")


def sentence(*arguments: str) -> str:
    """Return what stopped it, which `main` prints."""
    result = gallop(*arguments)
    assert isinstance(result.exception, StartFailed), result.output
    assert result.exception.exit_code in {1, 2}
    assert "\n" not in result.exception.sentence
    return result.exception.sentence


def test_the_table_of_the_whole_bot_is_printed_and_nothing_drawn(filled: Path, plotter: FakePlotter) -> None:
    result = gallop()

    assert result.exit_code == 0
    assert result.output.startswith("Report of the whole bot, ")
    assert "$0.645 spent · $0.645 on hold · 1 video" in result.output
    assert "HiAPI  $0.645" in result.output
    assert f"{USER}  $0.645  1 video" in result.output
    assert "direct messages" in result.output
    assert plotter.prepared == 0


def test_one_server_alone(filled: Path) -> None:
    result = gallop("--guild", str(GUILD), "--period", "day")

    assert result.output.startswith(f"Report of server {GUILD}, ")
    assert "$0.645 spent · $0.00 on hold · 1 video" in result.output


def test_files_are_written_where_they_are_wanted(filled: Path, plotter: FakePlotter, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"

    result = gallop("--out", str(folder))

    assert result.exit_code == 0
    assert {path.name for path in folder.iterdir()} == {"report.png", "report.csv", "report.json"}
    assert f"Written: {folder / 'report.png'}" in result.output
    assert (folder / "report.png").read_bytes() == plotter.answer
    assert json.loads((folder / "report.json").read_text())["totals"]["jobs"] == 2
    with (folder / "report.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2


def test_without_the_plotting_library_the_rest_is_written_and_one_line_says_how_to_get_it(
    filled: Path, plotter: FakePlotter, tmp_path: Path
) -> None:
    plotter.answer = NoPicture.NOT_INSTALLED

    result = gallop("--out", str(tmp_path / "out"))

    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.csv", "report.json"}
    [line] = [line for line in result.output.splitlines() if "plotting library" in line]
    assert "make plots" in line
    assert "pip install" not in line


def test_a_report_is_made_while_a_bot_writes(filled: Path) -> None:
    with closing(sqlite3.connect(filled, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO notes VALUES ('a', 'b')")

        assert gallop().exit_code == 0


def test_a_report_changes_nothing(filled: Path) -> None:
    before = filled.read_bytes()
    gallop()

    assert filled.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "x"), "What stands in `from` is no date. Write year, month and day"),
        (("--until", "2026-01-01"), "It is not said from when."),
        (("--from", "9999-12-31"), "has not come yet"),
        (("--from", "1999-12-31"), "a report has at most 366"),
        (("--period", "day", "--from", "2026-01-01"), "of a running period or of dates"),
    ],
)
def test_days_that_make_no_sense_are_one_sentence(filled: Path, arguments: tuple[str, ...], words: str) -> None:
    assert words in sentence(*arguments)


def test_no_database_is_one_sentence_and_makes_none(database: Path) -> None:
    assert sentence().startswith("There is no database at ")
    assert not database.exists()


def test_something_else_is_no_database(database: Path) -> None:
    database.write_bytes(b"something else" * 100)

    assert "is not a database" in sentence()


def test_an_older_database_is_one_sentence_and_stays_as_it_is(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        migrate(db, database, shipped_migrations()[:2])
    before = database.read_bytes()

    assert "older Gallop: start the bot once" in sentence()
    assert database.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_one_sentence(filled: Path, plotter: FakePlotter, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert "name another folder with --out" in sentence("--out", str(tmp_path / "file" / "below"))


def test_a_database_that_breaks_on_the_way_is_one_sentence(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "require_schema", lambda path: path.write_bytes(b"x" * 5_000))

    assert "could not be read; the log says why" in sentence()
