"""Each check of the soak finds what it looks for: books that are right but for one thing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.domain.quota import Limits
from tests.scenarios.soak_checks import Bill, Message, Post, Records, check, mark

PRICE = 387_000
Break = Callable[[Records], Records]


def job(number: int, state: str, **changes: Any) -> dict[str, Any]:
    stored = state == "stored"
    row = {
        "job_id": f"job{number}",
        "prompt": f"{mark(number)} a paper boat",
        "state": state,
        "price_microusd": PRICE,
        "delivery": "posted" if stored else "none",
        "card_face": "delivered" if stored else state,
        "card_message_id": number,
        "video_message_id": 10 + number if stored else None,
        "video_name": f"job{number}.mp4" if stored else None,
    }
    return row | changes


def attempt(of: int, *, gateway: str = "hiapi", billed: int = PRICE, source: str = "price", **changes: Any):
    row = {
        "job_id": f"job{of}",
        "number": 1,
        "gateway": gateway,
        "body": mark(of).encode(),
        "idempotency_key": f"key{of}",
        "gateway_job_id": f"g{of}",
        "billed_microusd": billed,
        "billed_source": source,
        "price_microusd": PRICE,
    }
    return row | changes


def entry(number: int, kind: str, at_ms: int, *, freed: int = 0, amount: int = PRICE) -> dict[str, Any]:
    return {
        "job_id": f"job{number}",
        "kind": kind,
        "amount_microusd": amount,
        "freed_microusd": freed,
        "user_id": 1,
        "guild_id": 2,
        "day": "2026-11-20",
        "month": "2026-11",
        "at_ms": at_ms,
    }


@pytest.fixture
def right() -> Records:
    """One job that was stored after a refusal, one that failed, one that was lost without an id, one cancelled."""
    return Records(
        jobs=[job(1, "stored"), job(2, "failed"), job(3, "lost"), job(4, "cancelled")],
        attempts=[
            attempt(1, billed=0, source="reported", gateway_job_id=None, body=b"soak 00001 first", idempotency_key="k"),
            attempt(1, number=2),
            attempt(2, gateway="shortapi", billed=0, source="refunded"),
            attempt(3, gateway="shortapi", gateway_job_id=None),
        ],
        ledger=[
            *(entry(number, "hold", number) for number in (1, 2, 3, 4)),
            entry(1, "settle", 5),
            *(entry(number, "release", 5, freed=PRICE) for number in (2, 3, 4)),
        ],
        bills=[
            Bill("hiapi", "g1", 1, PRICE, done=True),
            Bill("shortapi", "g2", 2, 0, done=False),
            Bill("shortapi", "nobody knows", 3, PRICE, done=True),
        ],
        posts=[
            Post("hiapi", "k", b"soak 00001 first"),
            *[Post("hiapi", "key1", mark(1).encode())] * 2,
            Post("shortapi", None, mark(2).encode()),
            Post("shortapi", None, mark(3).encode()),
        ],
        messages=[
            *(Message(number, number, (), is_knock=False) for number in (1, 2, 3, 4)),
            Message(11, 1, ("job1.mp4",), is_knock=False),
            Message(99, 7, (), is_knock=True),
        ],
        odd_answers=[],
        notices=["\n**HiAPI has no credit left**"] * 2,
        files=["videos/job1.mp4", "pictures/a.png"],
        log=["INFO video posted job_id=job1"],
        limits=Limits(4 * PRICE, 4 * PRICE, 4 * PRICE, 5 * PRICE),
        reported_loss_microusd=PRICE,
        unpriced=[],
        bills_above_list=0,
    )


def more(**added: Any) -> Break:
    """Add one row to one part of the records."""

    def broken(records: Records) -> Records:
        return replace(records, **{name: [*getattr(records, name), row] for name, row in added.items()})

    return broken


def changed(name: str, index: int, **values: Any) -> Break:
    """Change one row of one part of the records."""

    def broken(records: Records) -> Records:
        rows = list(getattr(records, name))
        rows[index] = rows[index] | values if isinstance(rows[index], dict) else replace(rows[index], **values)
        return replace(records, **{name: rows})

    return broken


def without(name: str, index: int) -> Break:
    def broken(records: Records) -> Records:
        return replace(records, **{name: [row for n, row in enumerate(getattr(records, name)) if n != index]})

    return broken


def test_books_that_are_right_pass(right: Records) -> None:
    assert check(right) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (more(bills=Bill("pixeldojo", "g9", 2, 0, done=False)), "job job2 has 2 gateway jobs"),
        (more(bills=Bill("pixeldojo", "g9", 9, 0, done=False)), "number 9, which is no job"),
        (changed("attempts", 0, billed_source="price"), "submitted again though attempt 1 was not certainly refused"),
        (changed("attempts", 0, gateway_job_id="g0"), "submitted again though attempt 1 was not certainly refused"),
        (more(posts=Post("shortapi", None, mark(2).encode())), "shortapi got number 2 2 times for 1 attempts"),
        (more(posts=Post("hiapi", "key4", mark(4).encode())), "hiapi got number 4 1 times for 0 attempts"),
        (more(posts=Post("hiapi", "other", mark(1).encode())), "hiapi got other bytes"),
        (changed("attempts", 2, gateway_job_id="nobody knows"), "job job2 has the gateway job id of 3"),
        (changed("attempts", 2, gateway_job_id="made up"), "job job2 has the gateway job id of nobody"),
        (without("ledger", 0), "job job1 is stored and has the entries ['settle']"),
        (without("ledger", 4), "job job1 is stored and has the entries ['hold']"),
        (changed("ledger", 4, kind="release"), "job job1 is stored and has the entries ['hold', 'release']"),
        (changed("ledger", 5, kind="settle"), "job job2 is failed and has the entries ['hold', 'settle']"),
        (changed("ledger", 0, amount_microusd=1), "job job1 held 1 and ended 387000"),
        (changed("ledger", 4, amount_microusd=1), "job job1 held 387000 and ended 1"),
        (lambda books: replace(books, limits=replace(books.limits, user_day_microusd=PRICE)), "('user', 1, '2026-11-"),
        (lambda books: replace(books, limits=replace(books.limits, user_month_microusd=PRICE)), "('user', 1, '2026-"),
        (lambda books: replace(books, limits=replace(books.limits, guild_month_microusd=PRICE)), "('guild', 2, '20"),
        (lambda books: replace(books, limits=replace(books.limits, bot_month_microusd=PRICE)), "the bot to 774000"),
        (more(messages=Message(98, 1, ("job1.mp4",), is_knock=False)), "job job1 is stored and has 2 video messages"),
        (without("messages", 4), "job job1 is stored and has 0 video messages"),
        (more(messages=Message(98, 2, ("job2.mp4",), is_knock=False)), "job job2 is failed and has 1 video messages"),
        (more(messages=Message(98, 3, ("job3.mp4",), is_knock=False)), "job job3 is lost and has 1 video messages"),
        (more(messages=Message(98, 7, ("job7.mp4",), is_knock=False)), "a video of job7 is posted, which is no job"),
        (changed("messages", 4, message_id=98), "job job1 has its video in another message"),
        (changed("messages", 4, number=2), "job job1 has its video in another message"),
        (without("files", 0), "job job1 is paid for and its file is gone"),
        (changed("bills", 0, done=False), "job job1 is paid for and no gateway made it"),
        (changed("bills", 0, known_microusd=PRICE - 1), "job job1 was billed 386999 and paid 387000"),
        (changed("attempts", 2, billed_microusd=1), "job job2 was billed 0 and (1, 'refunded') is booked"),
        (changed("attempts", 3, billed_microusd=0), "job job3 never got an id, is lost and (0, 'price') is booked"),
        (changed("jobs", 2, state="failed"), "job job3 never got an id, is failed and"),
        (lambda books: replace(books, reported_loss_microusd=0), "the loss is 387000 and 0 is reported"),
        (more(unpriced="hiapi/text/720p/0/139000"), "0 bills were too high and"),
        (changed("bills", 2, number=4), "job job4 is cancelled and shortapi has nobody knows of it"),
        (changed("jobs", 1, state="running"), "job job2 is running, delivery none, card failed"),
        (changed("jobs", 0, delivery="due"), "job job1 is stored, delivery due, card delivered"),
        (changed("jobs", 1, card_face="rendering"), "job job2 is failed, delivery none, card rendering"),
        (without("messages", 1), "job job2 is failed, has the card 2 and the messages []"),
        (more(messages=Message(98, 2, (), is_knock=False)), "job job2 is failed, has the card 2 and the messages"),
        (changed("messages", 1, message_id=98), "job job2 is failed, has the card 2 and the messages [98]"),
        (more(messages=Message(98, 7, (), is_knock=False)), "number 7 is no job and has the messages [98]"),
        (more(odd_answers="Something went wrong"), "a private answer says Something went wrong"),
        (lambda books: replace(books, notices=["\n**a loss**"] * 2), "operators were told 2 times: **a loss**"),
        (more(log="Traceback (most recent call last):"), "the log says Traceback"),
        (more(files="incoming/job1.mp4"), "incoming/job1.mp4 is left over"),
        (more(files="pictures/b.png.0a1b.part"), "pictures/b.png.0a1b.part is left over"),
        (more(files="videos/job9.mp4"), "videos/job9.mp4 is left over"),
    ],
)
def test_books_with_one_thing_wrong_are_found_out(right: Records, broken: Break, said: str) -> None:
    assert any(said in problem for problem in check(broken(right))), check(broken(right))
