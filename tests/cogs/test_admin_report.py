"""`/video-admin report`: one message with picture and files, for whom it is, and what stands there when it is not."""

import csv
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.domain.charts import NoPicture
from bot.presentation.report_text import BEING_MADE, NOT_SENT, TOO_LARGE
from tests.cogs.stage import Stage, shown, stage
from tests.cogs.walks import opened, stored

NO_GUILD = "This works only on a server. Nothing was changed.\nUse it in a channel of the server that you manage."


@asynccontextmanager
async def scene(tmp_path: Path) -> AsyncIterator[tuple[Stage, Any]]:
    """Open the stage with a manager beside the member whose jobs they are."""
    async with stage(tmp_path, jobs_run=False) as on:
        role = on.guild.create_role("boss", permissions=discord.Permissions(manage_guild=True))
        yield on, on.guild.add_member(on.env.create_user("otto"), roles=[role])


async def report(on: Stage, boss: Any, **options: Any) -> Any:
    return await boss.slash(on.channel, "video-admin report", **options)


def files(on: Stage, result: Any) -> dict[str, bytes]:
    """Return every file that the message shows, by name."""
    addresses = [part["file"]["url"] for part in result.response.components if part["type"] == 13]
    galleries = [part["items"] for part in result.response.components if part["type"] == 12]
    addresses += [item["media"]["url"] for items in galleries for item in items]
    return {each.split("?")[0].rpartition("/")[2]: on.env.backend.cdn.get(each) for each in addresses}


async def test_a_manager_gets_the_picture_and_the_files_of_the_month_in_one_private_message(tmp_path: Path) -> None:
    async with scene(tmp_path) as (on, boss):
        await stored(on, await opened(on, "A secret boat", gateway="hiapi"), settle_microusd=600_000)

        result = await report(on, boss)
        found = files(on, result)

        assert result.ephemeral
        assert set(found) == {"report.png", "report.csv", "report.json"}
        assert found["report.png"] == on.plotter.answer
        assert on.plotter.prepared == 1
        [row] = csv.DictReader(StringIO(found["report.csv"].decode(), newline=""))
        assert (row["member_id"], row["charged_usd"]) == (str(on.member.id), "0.60")
        assert json.loads(found["report.json"])["totals"]["spent_microusd"] == 600_000
        said = shown(result)
        assert f"By member: <@{on.member.id}> $0.60" in said
        assert "By gateway: HiAPI $0.60" in said
        assert "secret" not in said + found["report.csv"].decode() + found["report.json"].decode()
        assert not on.bot.get_cog("VideoAdminCog")._reporting


async def test_the_picture_has_the_names_that_discord_gives(tmp_path: Path) -> None:
    async with scene(tmp_path) as (on, boss):
        await stored(on, await opened(on, gateway="hiapi"))

        await report(on, boss)

        [chart] = on.plotter.charts
        (members, times), (channels, _) = chart.columns
        assert chart.titles[0] == on.guild.name
        assert [bar.names for bar in members.bars] == [("mia", "mia", f"member {on.member.id}")]
        assert [bar.names for bar in channels.bars] == [("#general", f"channel {on.channel.id}")]
        assert [bar.names for bar in times.bars] == [("HiAPI",)]


async def test_a_report_comes_with_ids_when_discord_gives_no_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: Any, **__: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr(discord.Guild, "query_members", silent)
    async with scene(tmp_path) as (on, boss):
        await stored(on, await opened(on, gateway="hiapi"))

        assert set(files(on, await report(on, boss))) == {"report.png", "report.csv", "report.json"}

        assert on.plotter.charts[0].columns[0][0].bars[0].names == (f"member {on.member.id}",)


async def test_the_loss_is_for_operators_alone(tmp_path: Path) -> None:
    async with scene(tmp_path) as (on, boss):
        await stored(on, await opened(on, gateway="hiapi"), settle_microusd=600_000)

        seen = await report(on, boss)
        on.operator_ids.add(boss.id)
        told = await report(on, boss)

        assert "loss" not in shown(seen)
        assert json.loads(files(on, seen)["report.json"])["operators_loss"] is None
        assert not on.plotter.charts[0].notes
        assert "Operator's loss: $0.15" in shown(told)
        assert on.plotter.charts[1].notes == ("Operator's loss at HiAPI: $0.15 ($0.75 billed, $0.60 paid).",)


async def test_another_servers_jobs_are_in_no_report(tmp_path: Path) -> None:
    async with scene(tmp_path) as (on, _):
        await stored(on, await opened(on, gateway="hiapi"))
        other = on.env.create_guild()
        owner = other.add_member(
            on.env.create_user("eve"), roles=[other.create_role("o", permissions=discord.Permissions.all())]
        )

        result = await owner.slash(other.create_text_channel("there"), "video-admin report")

        assert "$0.00 spent" in shown(result)
        assert len(files(on, result)["report.csv"].decode().splitlines()) == 1


async def test_in_a_direct_message_operators_get_the_whole_bot_and_others_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path) as (on, _):
        await stored(on, await opened(on, gateway="hiapi"))
        ada = on.env.create_user("ada")

        assert shown(await ada.slash("video-admin report")) == NO_GUILD
        on.operator_ids.add(ada.id)
        result = await ada.slash("video-admin report")

        assert json.loads(files(on, result)["report.json"])["server_id"] is None
        [chart] = on.plotter.charts
        assert chart.titles == ("The whole bot",)
        assert chart.columns[0][0].bars[0].names == ("mia", "mia", f"member {on.member.id}")
        assert chart.columns[1][0].bars[0].names == (on.guild.name, f"server {on.guild.id}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"from": "yesterday"},
            "What stands in `from` is no date.\nWrite year, month and day, for example 2026-11-20.",
        ),
        ({"until": "2026-11-01"}, "It is not said from when.\nAdd `from`, for example 2026-11-01."),
        ({"from": "2026-11-21"}, "2026-11-21 has not come yet; today is 2026-11-20.\nChoose days up to today."),
        ({"from": "2020-01-01"}, "That is 2,516 days; a report has at most 366.\nChoose a later `from`."),
        (
            {"from": "2026-11-02", "until": "2026-11-01"},
            "2026-11-02 to 2026-11-01 goes backwards.\n`from` is the earlier day.",
        ),
        (
            {"period": "day", "from": "2026-11-02"},
            "A report is of a running period or of dates, not of both.\nLeave one of them out.",
        ),
    ],
)
async def test_days_that_make_no_sense_are_refused_in_words(tmp_path: Path, options: Any, words: str) -> None:
    async with scene(tmp_path) as (on, boss):
        assert shown(await report(on, boss, **options)) == words
        assert on.plotter.prepared == 0


@pytest.mark.parametrize(
    ("options", "first"),
    [({"period": "day"}, "2026-11-20"), ({"period": "week"}, "2026-11-16"), ({"from": "2026-10-31"}, "2026-10-31")],
)
async def test_a_period_or_dates_can_be_asked_for(tmp_path: Path, options: Any, first: str) -> None:
    async with scene(tmp_path) as (on, boss):
        figures = json.loads(files(on, await report(on, boss, **options))["report.json"])

        assert figures["period"] == {"first": first, "last": "2026-11-20", "time_zone": "UTC"}


@pytest.mark.parametrize(
    ("why", "words"), [(NoPicture.NOT_INSTALLED, "`make plots`"), (NoPicture.FAILED, "the log says why")]
)
async def test_without_a_picture_the_rest_comes(tmp_path: Path, why: NoPicture, words: str) -> None:
    async with scene(tmp_path) as (on, boss):
        on.plotter.answer = why

        result = await report(on, boss)

        assert set(files(on, result)) == {"report.csv", "report.json"}
        assert words in shown(result)


async def test_a_second_report_of_the_server_at_the_same_time_is_not_made(tmp_path: Path) -> None:
    async with scene(tmp_path) as (on, boss):
        on.bot.get_cog("VideoAdminCog")._reporting.add(on.guild.id)

        assert shown(await report(on, boss)) == BEING_MADE
        assert on.plotter.charts == []


async def test_a_report_that_failed_can_be_asked_for_again(tmp_path: Path) -> None:
    async with scene(tmp_path) as (on, boss):
        await report(on, boss, **{"from": "x"})

        assert set(files(on, await report(on, boss))) == {"report.png", "report.csv", "report.json"}


async def test_a_table_that_does_not_fit_comes_packed_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path) as (on, boss):
        for number in range(10):
            await opened(on, gateway="animatic", user_id=number + 1)
        whole = files(on, await report(on, boss))
        fixed, table = len(whole["report.png"]) + len(whole["report.json"]), whole["report.csv"]

        monkeypatch.setattr("cogs.admin_report._BYTES_MAX", fixed + len(table) - 1)
        packed = await report(on, boss)
        monkeypatch.setattr("cogs.admin_report._BYTES_MAX", fixed + 10)
        left_out = await report(on, boss)

        found = files(on, packed)
        assert set(found) == {"report.png", "report.csv.zip", "report.json"}
        assert zipfile.ZipFile(BytesIO(found["report.csv.zip"])).read("report.csv") == table
        assert "comes packed" in shown(packed)
        assert set(files(on, left_out)) == {"report.png", "report.json"}
        assert "Ask for fewer days" in shown(left_out)


async def test_what_discord_finds_too_large_after_all_is_sent_smaller_and_then_explained(tmp_path: Path) -> None:
    async with scene(tmp_path) as (on, boss):
        on.env.inject_error("POST", "/webhooks/*", status=413, code=40005)
        assert "report.png" in files(on, await report(on, boss))

        for _ in range(2):
            on.env.inject_error("POST", "/webhooks/*", status=413, code=40005)
        assert shown(await report(on, boss)) == TOO_LARGE


async def test_a_report_that_discord_does_not_take_is_said_to_be_so(tmp_path: Path) -> None:
    async with scene(tmp_path) as (on, boss):
        on.env.inject_error("POST", "/webhooks/*", status=400, code=50035)

        assert shown(await report(on, boss)) == NOT_SENT


async def test_two_servers_get_their_reports_at_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as (on, boss):
        on.bot.get_cog("VideoAdminCog")._reporting.add(on.guild.id + 1)

        assert "report.png" in files(on, await report(on, boss))
