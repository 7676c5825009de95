"""What managers see of jobs: their words for money, every state, and cards inside Discord's limits at their worst."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.guild import GuildJob
from bot.domain.guild_jobs import JOBS_MAX, Refunded
from bot.domain.job import Delivery, JobState, MessageRef
from bot.presentation import cards
from bot.presentation.choices import CHOICE_CHARACTERS_MAX
from bot.presentation.guild_jobs import (
    LISTED_STATES,
    LISTED_WORDS,
    PAGE_ID,
    PER_PAGE,
    Listed,
    delivered_again_text,
    guild_job_choice,
    jobs_card,
    refunded_text,
    released_text,
)
from bot.presentation.private_answers import history_card
from tests.presentation.views import JOB_ID, NOW, PROMPT, VIDEO, faces, parts, view, words

STORED = {"delivery": Delivery.POSTED, "video": VIDEO}
OPENED = "tqwe01"


def job(state: JobState = JobState.STORED, **changes: Any) -> GuildJob:
    return GuildJob.of(view(state, **changes).job)


def listed(jobs: list[GuildJob], **changes: Any) -> list[str]:
    facts = {"listed": Listed.ALL, "user_id": None, "links": {}, "opened": OPENED}
    return words(jobs_card(jobs, **{**facts, **changes}))


def ids(jobs: list[GuildJob], **changes: Any) -> list[str]:
    facts = {"listed": Listed.ALL, "user_id": None, "links": {}, "opened": OPENED}
    layout = jobs_card(jobs, **{**facts, **changes})
    return [part["custom_id"] for part in parts(layout) if part["type"] == 2]


def test_a_job_is_listed_with_everything_but_its_prompt() -> None:
    stamp = f"<t:{int(NOW.timestamp())}:R>"

    lines = listed([job(charged_microusd=645_000, **STORED)], links={JOB_ID: "https://discord.com/channels/1/2/3"})

    assert lines[:3] == [
        "**1 job**",
        "<@11> · reference · 5 s · 720p",
        f"posted · $0.645 charged · {stamp} · https://discord.com/channels/1/2/3 · `{JOB_ID}`",
    ]
    assert PROMPT not in "\n".join(lines)


def test_a_private_job_is_called_so_and_where_no_message_is_its_channel_is_named() -> None:
    lines = listed([job(JobState.HELD, private=True)])

    assert lines[1] == "<@11> · reference · 5 s · 720p · private"
    assert "in line · $0.645 on hold" in lines[2]
    assert "<#31>" in lines[2]


@pytest.mark.parametrize(
    ("charged", "refunded", "says"),
    [
        (645_000, 0, "$0.645 charged"),
        (0, 645_000, "$0.645 refunded"),
        (345_000, 300_000, "$0.345 charged, $0.30 refunded"),
        (0, 600_000, "$0.60 refunded, $0.045 released"),
        (500_000, 100_000, "$0.50 charged, $0.10 refunded, $0.045 released"),
    ],
)
def test_a_refund_is_called_a_refund_wherever_money_is_named(charged: int, refunded: int, says: str) -> None:
    facts = {"charged_microusd": charged, "refunded_microusd": refunded}
    kept = view(JobState.STORED, delivery=Delivery.GIVEN_UP, video=VIDEO, **facts)

    assert f"posted · {says} · " in listed([job(**STORED, **facts)])[2]
    assert f"· {says} ·" in words(history_card([kept]))[-1]
    assert f"The video could not be posted here. {says}. " in words(cards.job_card(kept))[-1]


@pytest.mark.parametrize(
    ("charged", "refunded", "says"),
    [(645_000, 0, "$0.645"), (0, 645_000, "$0.645 refunded"), (345_000, 300_000, "$0.345, $0.30 refunded")],
)
def test_what_a_video_cost_says_what_was_refunded(charged: int, refunded: int, says: str) -> None:
    posted = view(JobState.STORED, **STORED, charged_microusd=charged, refunded_microusd=refunded)

    assert words(cards.video_message(posted, address="attachment://v.mp4", ping=False))[-1].endswith(f" · {says}")


def test_every_state_stands_in_one_choice_and_all_is_every_one() -> None:
    chosen = [state for states in LISTED_STATES.values() for state in states]

    assert sorted(chosen) == sorted(JobState)
    assert LISTED_STATES[Listed.ALL] == frozenset()
    assert set(LISTED_WORDS) == set(LISTED_STATES) == set(Listed)


@pytest.mark.parametrize(
    ("which", "user_id", "says"),
    [
        (Listed.ALL, None, "No jobs"),
        (Listed.IN_LINE, None, "No jobs · in line"),
        (Listed.ALL, 11, "No jobs · <@11>"),
        (Listed.LOST, 11, "No jobs · <@11> · lost"),
    ],
)
def test_an_empty_list_says_what_was_looked_for(which: Listed, user_id: int | None, says: str) -> None:
    assert listed([], listed=which, user_id=user_id) == [says]


def test_pages_turn_and_remember_what_was_looked_for() -> None:
    many = [replace(job(JobState.HELD), job_id=f"{n:016d}") for n in range(PER_PAGE + 1)]

    first = ids(many, listed=Listed.IN_LINE, user_id=11)
    lines = listed(many, page=7)

    assert [PAGE_ID.fullmatch(each).groupdict() for each in first] == [
        {"opened": OPENED, "user_id": "11", "listed": "line", "page": page} for page in ("0", "1")
    ]
    assert f"`{PER_PAGE:016d}`" in "\n".join(lines)
    assert lines[-1] == "-# Page 2 of 2"


def test_the_fullest_page_fits_discord() -> None:
    message = MessageRef(10**19, 10**19)
    worst = replace(
        job(charged_microusd=500_001, refunded_microusd=100_001, **STORED),
        user_id=10**19,
        channel_id=10**19,
        card=message,
        video_message=message,
    )
    many = [replace(worst, job_id=f"{n:016d}") for n in range(JOBS_MAX)]
    links = {each.job_id: f"https://discord.com/channels/{10**19}/{10**19}/{10**19}" for each in many}
    layout = jobs_card(many, listed=Listed.VIDEO, user_id=10**19, links=links, opened="zzzzzzzzz", page=24)

    assert sum(len(line) + 1 for line in words(layout)) <= 4_000
    assert len(parts(layout)) <= 40
    assert words(layout)[0] == f"**The newest 200 jobs · <@{10**19}> · posting, posted or kept**"
    assert all(len(part["custom_id"]) <= 100 for part in parts(layout) if part["type"] == 2)


@pytest.mark.parametrize(
    ("age", "says"),
    [
        (timedelta(seconds=-3), "just now"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(minutes=61), "1 h ago"),
        (timedelta(hours=47), "47 h ago"),
        (timedelta(days=29), "29 days ago"),
    ],
)
def test_a_choice_names_the_member_and_the_age(age: timedelta, says: str) -> None:
    choice = guild_job_choice(job(JobState.HELD), member="mia", now=NOW + age)

    assert choice == f"mia · {says} · in line · $0.645 on hold · …{JOB_ID[-5:]}"


def test_the_longest_choice_fits_and_keeps_the_end_of_the_id() -> None:
    worst = job(
        charged_microusd=100_000_001,
        refunded_microusd=10_000_001,
        price_microusd=500_000_000,
        delivery=Delivery.GIVEN_UP,
    )

    choice = guild_job_choice(worst, member="w" * 300, now=NOW + timedelta(days=3_650))

    assert len(choice) <= CHOICE_CHARACTERS_MAX
    assert choice.endswith(JOB_ID[-5:])


def test_a_release_says_whose_hold_went_back() -> None:
    assert released_text(job(JobState.FAILED)) == (
        f"The job of <@11> is out of the line and will not be made. $0.645 released.\nIts card says so (`{JOB_ID}`)."
    )
    assert "Nothing was on hold." in released_text(job(JobState.FAILED, price_microusd=0))


@pytest.mark.parametrize(
    ("by_operator", "says"),
    [(True, ""), (False, " The operator's limit still counts it.")],
    ids=["operator", "manager"],
)
def test_a_refund_says_what_the_operators_limit_counts(by_operator: bool, says: str) -> None:
    done = Refunded(job(charged_microusd=0, refunded_microusd=645_000), 645_000, by_operator)

    assert refunded_text(done) == f"$0.645 refunded to <@11> (`{JOB_ID}`).{says}\nTheir `/video history` shows it."


def test_a_partial_refund_says_of_how_much() -> None:
    done = Refunded(job(charged_microusd=600_000, refunded_microusd=45_000), 45_000, by_operator=True)

    assert refunded_text(done).startswith("$0.045 of $0.645 refunded to <@11>")


def test_delivering_again_says_where_and_that_nothing_comes_twice() -> None:
    twice = "Where its message is still there, no second one comes."

    assert delivered_again_text(job()) == f"The video of <@11> is posted again in <#31> (`{JOB_ID}`).\n{twice}"
    assert delivered_again_text(job(private=True)) == (
        f"The video goes to <@11> by direct message again (`{JOB_ID}`).\n{twice}"
    )


def test_every_face_can_be_listed() -> None:
    for name, each in faces().items():
        assert JOB_ID in "\n".join(listed([GuildJob.of(each.job)])), name
