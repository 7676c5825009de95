"""The operators' cards: inside Discord's limits at their worst, and exact about money."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.job import Attempt, JobState
from bot.domain.ports import CardView
from bot.presentation.unconfirmed import (
    BUTTON_ID,
    FORM_ID,
    PER_PAGE,
    Patience,
    bind_form,
    bound_text,
    closed_text,
    closing_card,
    unconfirmed_card,
)
from tests.presentation.views import JOB, JOB_ID, NOW, parts, view, words

# Discord's limits for one message (message.mdx, read 2026-11-20).
CHARACTERS_MAX = 4_000
COMPONENTS_MAX = 40
PATIENCE = Patience(86_400, frozenset({"hiapi"}))


def attempt(price_microusd: int = 645_000, **changes: object) -> Attempt:
    made = Attempt(JOB_ID, 1, "hiapi", "m", b"", "key", "token", NOW, price_microusd)
    return replace(made, **changes)


def pending(**changes: object) -> CardView:
    facts = {"attempt": attempt(), "attempt_count": 1, "submitted_at": NOW, **changes}
    return view(JobState.UNCONFIRMED, **facts)


WORST = pending(
    prompt="*_|" * 500,
    user_id=2**63,
    attempt_count=1_000_000,
    attempt=attempt(hinted_at=NOW, hinted_gateway_job_id="*" * 1_000),
    gateway_title="A rather long name",
    model_title="A model with a long name",
)


def test_the_fullest_page_fits_one_message() -> None:
    card = unconfirmed_card([WORST] * 1_000, PATIENCE, page=99, note="x" * 300)

    assert sum(len(part.get("content", "")) for part in parts(card)) <= CHARACTERS_MAX
    assert len(parts(card)) <= COMPONENTS_MAX


def test_a_page_that_is_no_longer_there_shows_the_last_one() -> None:
    card = unconfirmed_card([pending()] * (PER_PAGE + 1), PATIENCE, page=7)

    assert "-# Page 2 of 2" in words(card)


def test_a_note_stands_above_the_list() -> None:
    assert words(unconfirmed_card([pending()], PATIENCE, note="Done."))[:2] == ["Done.", "**1 unconfirmed job**"]
    assert words(unconfirmed_card([], PATIENCE, note="Done.")) == ["Done.", "Every submission is confirmed."]


def test_every_button_is_understood_again() -> None:
    cards = [unconfirmed_card([pending()] * 6, PATIENCE), closing_card(pending(), page=3)]
    pressed = [BUTTON_ID.fullmatch(part["custom_id"]) for card in cards for part in parts(card) if part["type"] == 2]

    assert all(match is not None for match in pressed)
    assert {match["does"] for match in pressed} == {"page", "ask", "close", "bind"}
    assert {match["job_id"] for match in pressed} == {JOB_ID, None}
    form = FORM_ID.fullmatch(bind_form(pending(), page=3).custom_id)
    assert (form["job_id"], form["page"]) == (JOB_ID, "3")


def test_a_long_name_of_a_gateway_fits_the_form() -> None:
    form = bind_form(pending(gateway_title="A gateway with a very, very long name"), page=0).to_dict()

    assert len(form["title"]) <= 45
    assert len(form["components"][0]["description"]) <= 100


@pytest.mark.parametrize(
    ("price_microusd", "question", "closed"),
    [
        (
            645_000,
            "This releases $0.645 and books it as your loss. It cannot be undone.",
            "$0.645 released, $0.645 booked as your loss.",
        ),
        (
            600_000,
            "This releases $0.645 and books $0.60 as your loss. It cannot be undone.",
            "$0.645 released, $0.60 booked as your loss.",
        ),
    ],
)
def test_the_loss_is_the_gateways_price_and_the_release_the_whole_hold(
    price_microusd: int, question: str, closed: str
) -> None:
    asked = pending(attempt=attempt(price_microusd))

    assert words(closing_card(asked, page=0))[-2] == question
    lost = replace(asked, job=replace(asked.job, state=JobState.LOST))
    assert closed_text(lost) == f"`{JOB_ID}` is closed as lost: {closed}"


def test_closing_a_free_job_costs_nobody_anything() -> None:
    free = replace(pending(price_microusd=0), free=True)

    assert words(closing_card(free, page=0))[-2] == (
        "This ends the job. Nothing is on hold, so nothing is lost. It cannot be undone."
    )
    lost = replace(free, job=replace(free.job, state=JobState.LOST))
    assert closed_text(lost) == f"`{JOB_ID}` is closed as lost. Nothing was on hold."


def test_a_job_that_was_not_closed_after_all_is_said_to_be_where_it_is() -> None:
    assert closed_text(view(JobState.RUNNING)) == (f"`{JOB_ID}` was not closed: it is rendering now, $0.645 on hold.")


def test_a_bound_id_is_shown_harmlessly() -> None:
    assert bound_text(view(JobState.RUNNING), "<@1> `x`").startswith(f"`{JOB_ID}` is \\<@\u200b1\\> \\`x\\` at HiAPI: ")


def test_a_job_without_an_attempt_on_record_is_listed_all_the_same() -> None:
    since = int((JOB.since_at + timedelta(days=1)).timestamp())

    shown = words(unconfirmed_card([view(JobState.UNCONFIRMED)], PATIENCE))

    assert any(f"given up <t:{since}:f>" in line for line in shown)
