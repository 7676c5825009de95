"""What reports say: on Discord, in the terminal, as CSV and as JSON; and what is drawn of them."""

import csv
import json
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from itertools import product

import pytest

from bot.domain.charts import NoPicture, Tone
from bot.domain.errors import Refusal
from bot.domain.job import Ending, JobState
from bot.domain.reporting import PeriodProblem, PeriodRejected
from bot.domain.reports import Outcome, Period, report_of
from bot.presentation.report_chart import MEMBERS_MAX, PLACES_MAX, bins_of, chart_of
from bot.presentation.report_files import CSV_COLUMNS, CSV_NAME, JSON_NAME, PICTURE_NAME, csv_file, json_file
from bot.presentation.report_text import period_reply, report_card, report_table
from bot.presentation.report_words import outcome_words, period_words, share_words, span_words
from tests.presentation.report_samples import LAST, MEMBER, TITLES, chart, jobs, period, report
from tests.presentation.views import words as lines_of

MADE_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALL_FILES = (PICTURE_NAME, JSON_NAME, CSV_NAME)


def card_text(made, files=ALL_FILES, why_none=None) -> str:
    return "\n".join(lines_of(report_card(made, titles=TITLES, files=files, why_none=why_none)))


def rows(made) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(csv_file(made).decode(), newline="")))


def table(made) -> str:
    return "\n".join(report_table(made, titles=TITLES))


@pytest.mark.parametrize(("ending", "refusal"), list(product(Ending, [None, *Refusal])))
def test_every_way_to_fail_has_short_words(ending: Ending, refusal: Refusal | None) -> None:
    words = outcome_words(Outcome(JobState.FAILED, ending, refusal, 1))

    assert 0 < len(words) <= 36


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.FAILED, JobState.LOST}))
def test_every_other_state_has_words(state: JobState) -> None:
    assert outcome_words(Outcome(state, None, None, 1)) in {"finished", "cancelled", "under way"}


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2026-11-20", "2026-11-20", "20 November 2026"),
        ("2026-11-01", "2026-11-20", "1 to 20 November 2026"),
        ("2026-10-25", "2026-11-20", "25 October to 20 November 2026"),
        ("2025-11-20", "2026-11-20", "20 November 2025 to 20 November 2026"),
    ],
)
def test_a_period_is_said_as_short_as_it_can_be(first: str, last: str, words: str) -> None:
    assert period_words(Period(date.fromisoformat(first), date.fromisoformat(last), "UTC")) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.6, "1 min"), (192, "3 min 12 s"), (3_600, "1 h"), (3_900, "1 h 5 min"), (90_000, "25 h")],
)
def test_a_span_is_said_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert span_words(seconds) == words


@pytest.mark.parametrize(("part", "whole", "words"), [(0, 0, "0 (0 %)"), (1, 900, "1 (< 1 %)"), (9, 12, "9 (75 %)")])
def test_a_share_is_never_rounded_to_nothing(part: int, whole: int, words: str) -> None:
    assert share_words(part, whole) == words


def test_the_csv_has_a_row_for_each_job_with_exact_amounts_and_no_prompt() -> None:
    job = jobs(days=1, members=1, count=1, gateways=["hiapi"])[0]._replace(
        state=JobState.STORED, price_microusd=1_290_000, settled_microusd=1_234_567, refunded_microusd=1, took_s=61.5
    )

    assert rows([job]) == [
        {
            "job_id": "0000000000000000", "day": "2026-11-20", "member_id": str(MEMBER),
            "channel_id": str(job.channel_id),
            "server_id": "7", "gateway": "hiapi", "mode": "text", "resolution": "720p", "duration_s": "5",
            "state": "stored", "ending": "", "refusal": "", "price_usd": "1.29", "charged_usd": "1.234567",
            "refunded_usd": "0.000001", "seconds": "61.5",
        }
    ]  # fmt: skip
    assert not any("prompt" in column for column in CSV_COLUMNS)


def test_amounts_above_a_thousand_are_one_number() -> None:
    job = jobs(days=1, members=1, count=1)[0]._replace(price_microusd=1_234_567_000_000)

    assert rows([job])[0]["price_usd"] == "1234567.00"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
@pytest.mark.parametrize("column", ["day", "gateway", "mode", "resolution"])
def test_no_text_is_a_formula_to_a_spreadsheet(text: str, column: str) -> None:
    job = jobs(days=1, members=1, count=1)[0]._replace(**{column: text})

    assert rows([job])[0][column] == f"'{text}"


def test_the_rows_add_up_to_the_figures() -> None:
    made = jobs(days=31, members=20, count=200)
    figures = json.loads(json_file(report(members=20, count=200), made_at=MADE_AT))

    def total(column: str) -> int:
        return sum(round(float(row[column]) * 1_000_000) for row in rows(made))

    spent = total("charged_usd") - total("refunded_usd")
    assert figures["totals"]["spent_microusd"] == spent
    for part in ("by_day", "by_member", "by_channel", "by_server"):
        assert sum(each["spent_microusd"] for each in figures[part]) == spent
    assert sum(each["jobs"] for each in figures["outcomes"]) == figures["totals"]["jobs"] == 200


def test_the_json_has_exact_dollars_as_text_and_ids_as_text() -> None:
    figures = json.loads(json_file(report(), made_at=MADE_AT))

    assert figures["server_id"] == "7"
    assert figures["period"] == {"first": "2026-10-21", "last": "2026-11-20", "time_zone": "Europe/Berlin"}
    member = figures["by_member"][0]
    assert isinstance(member["member_id"], str)
    assert round(float(member["spent_usd"]) * 1_000_000) == member["spent_microusd"]
    assert set(figures["operators_loss"][0]) == {
        "gateway", "billed_usd", "billed_microusd", "paid_usd", "paid_microusd", "loss_usd", "loss_microusd",
    }  # fmt: skip


def test_the_loss_is_in_nothing_that_managers_get() -> None:
    made = report(with_loss=False)

    assert json.loads(json_file(made, made_at=MADE_AT))["operators_loss"] is None
    assert "loss" not in card_text(made)
    drawn = chart(with_loss=False)
    assert not drawn.notes
    assert "operator's loss" not in [tile.caption for tile in drawn.tiles]


def test_the_card_says_totals_gateways_and_the_first_members() -> None:
    said = card_text(report(members=12))

    assert "**Report, 21 October to 20 November 2026**" in said
    assert "spent" in said
    assert "on hold" in said
    assert "By gateway: " in said
    assert said.count("<@") == 5
    assert "more" in said
    assert "Operator's loss: $" in said
    assert "-# Days in Europe/Berlin. Only you see this." in said
    assert "!" not in said.replace("<@!", "")


def test_a_card_of_nothing_says_nothing_was_spent() -> None:
    said = card_text(report(count=0))

    assert "$0.00 spent · $0.00 on hold · 0 videos · 0 (0 %) failed" in said
    assert "By member" not in said


@pytest.mark.parametrize(
    ("files", "why_none", "words"),
    [
        ((JSON_NAME, CSV_NAME), NoPicture.NOT_INSTALLED, "make plots"),
        ((JSON_NAME, CSV_NAME), NoPicture.FAILED, "could not be drawn"),
        ((PICTURE_NAME, JSON_NAME, "report.csv.zip"), None, "comes packed"),
        ((PICTURE_NAME, JSON_NAME), None, "Ask for fewer days"),
    ],
)
def test_the_card_says_what_is_missing_and_why(files, why_none, words: str) -> None:
    assert words in card_text(report(), files, why_none)
    assert words not in card_text(report())


def test_the_card_names_exactly_the_files_that_come_along() -> None:
    shown = report_card(report(), titles=TITLES, files=ALL_FILES, why_none=None).to_components()

    assert [part["type"] for part in shown] == [10, 12, 13, 13]
    assert shown[1]["items"][0]["media"]["url"] == f"attachment://{PICTURE_NAME}"
    assert "spent" in shown[1]["items"][0]["description"]
    assert [part["file"]["url"] for part in shown[2:]] == [f"attachment://{JSON_NAME}", f"attachment://{CSV_NAME}"]


def test_the_table_is_aligned_and_sums_the_rest_up() -> None:
    said = table(report(members=200, count=900, guild_id=None))

    assert said.startswith("Report of the whole bot, 21 October to 20 November 2026, days in Europe/Berlin\n")
    for heading in ("Spend by gateway", "Spend by day", "By member", "By server", "By channel", "Operator's loss"):
        assert f"\n\n{heading}\n" in said
    members = said.partition("By member\n")[2].partition("\n\n")[0].splitlines()
    assert len(members) == 16
    assert len({len(line) for line in members}) == 1
    assert "other members" in members[-1]


def test_the_table_of_nothing_is_its_totals() -> None:
    assert table(report(count=0)).splitlines()[1:] == ["$0.00 spent · $0.00 on hold · 0 videos · 0 (0 %) failed"]


@pytest.mark.parametrize("problem", PeriodProblem)
def test_refused_days_say_what_to_type(problem: PeriodProblem) -> None:
    said = period_reply(PeriodRejected(problem, "2026-11-21", LAST))

    assert len(said.splitlines()) == 2
    assert said.endswith(".")


@pytest.mark.parametrize(("days", "bars"), [(1, 1), (7, 7), (31, 31), (45, 45), (46, 7), (366, 53)])
def test_bars_are_days_or_else_weeks_from_monday(days: int, bars: int) -> None:
    starts = bins_of(period(days))

    assert len(starts) == bars
    assert starts[0] == LAST - timedelta(days=days - 1)
    if days > 45:
        assert {start.weekday() for start in starts[1:]} == {0}


@pytest.mark.parametrize("days", [1, 7, 31, 46, 366])
def test_the_bars_hold_all_that_was_spent(days: int) -> None:
    drawn, made = chart(days=days), report(days=days)

    total = sum(sum(series.values) for series in drawn.series)
    assert round(total * 1_000_000) == made.spent_microusd
    assert all(len(series.values) == len(drawn.bins) for series in drawn.series)
    assert "Animatic" not in [series.name for series in drawn.series]


def test_the_largest_stand_alone_and_one_bar_stands_for_the_others() -> None:
    drawn = chart(members=200, count=900)
    (members, _), (channels, _) = drawn.columns

    assert len(members.bars) == MEMBERS_MAX + 1
    assert members.bars[-1].tone is Tone.REST
    assert members.bars[-1].names[0].endswith("other members")
    assert len(channels.bars) == PLACES_MAX + 1
    shown = sum(bar.value for bar in members.bars)
    assert round(shown * 1_000_000) == report(members=200, count=900).spent_microusd


def test_one_more_than_the_largest_is_shown_by_name() -> None:
    made = [
        job._replace(user_id=MEMBER + n, settled_microusd=1_000_000, refunded_microusd=0, state=JobState.STORED)
        for n, job in enumerate(jobs(days=1, members=1, count=MEMBERS_MAX + 1))
    ]
    drawn = chart_of(
        report_of(made, guild_id=7, period=period(1), with_loss=False), title=("S",), names={}, titles=TITLES
    )

    assert [bar.tone for bar in drawn.columns[0][0].bars] == [Tone.PLAIN] * (MEMBERS_MAX + 1)
    assert drawn.columns[0][0].bars[0].names == (f"member {MEMBER}",)


def test_who_has_no_name_is_shown_by_id_and_what_is_outside_of_servers_by_that() -> None:
    drawn = chart(names={MEMBER: ("Mia", "mia")}, guild_id=None, members=2)

    shown = {bar.names for bar in drawn.columns[0][0].bars}
    assert shown == {("Mia", "mia", f"member {MEMBER}"), (f"member {MEMBER + 1}",)}
    assert [bar.names for bar in drawn.columns[1][0].bars] == [("direct messages",)]
