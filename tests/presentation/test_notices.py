"""What operators are told, word for word: what happened, what it means for money, what to do next."""

from dataclasses import replace

import pytest

from bot.domain.errors import InvariantBroken, Refusal
from bot.domain.job import Job, JobState
from bot.domain.notices import Notice, NoticeKind
from bot.presentation.layout import Accent
from bot.presentation.notices import mark, notice_card
from tests.presentation.views import JOB_ID, PROMPT, parts, view, words

JOB = view(JobState.UNCONFIRMED).job
GIVEN_UP = replace(view(JobState.STORED).job, charged_microusd=600_000)


def private(job: Job) -> Job:
    return replace(job, request=replace(job.request, private=True))


NOTICES = {
    "unconfirmed": (
        Notice("unconfirmed/1", NoticeKind.UNCONFIRMED, job=JOB, gateway_title="HiAPI"),
        "AMBER",
        [
            "**HiAPI has not confirmed a job**",
            f"`{JOB_ID}` of <@11> (reference, 5 s): HiAPI may have taken it, or not. $0.645 stays on hold until that "
            "is known; nothing is bought twice.",
            "`/video-admin unconfirmed` shows what is known of it; there it can be closed, or bound to the gateway's "
            "id.",
        ],
    ),
    "key": (
        Notice("gateway_out/hiapi/key", NoticeKind.GATEWAY_OUT, gateway_title="HiAPI", reason=Refusal.KEY),
        "RED",
        [
            "**HiAPI does not accept this bot's key**",
            "It refuses every job, at no cost. Until that is mended, jobs with `gateway:auto` go elsewhere where "
            "another gateway can make them, and those that name HiAPI are refused.",
            "Set `HIAPI_KEY` to a valid key and start the bot again, or allow the key in HiAPI's console.",
        ],
    ),
    "credit": (
        Notice(
            "gateway_out/pixeldojo/credit", NoticeKind.GATEWAY_OUT, gateway_title="PixelDojo", reason=Refusal.CREDIT
        ),
        "RED",
        [
            "**PixelDojo has no credit left**",
            "It refuses every job, at no cost. Until that is mended, jobs with `gateway:auto` go elsewhere where "
            "another gateway can make them, and those that name PixelDojo are refused.",
            "Add credit in PixelDojo's console. Ten minutes after the last refusal the next job finds out.",
        ],
    ),
    "overbilled": (
        Notice("overbilled/x", NoticeKind.OVERBILLED, gateway_title="HiAPI", detail="text at 720p"),
        "RED",
        [
            "**HiAPI billed more than its price**",
            "The price of text at 720p is too low. Members pay at most what was on hold; what was billed above it is "
            "your loss.",
            "Set `HIAPI_720P_USD_PER_S` to what HiAPI bills, and start the bot again. No more text at 720p is bought "
            "at HiAPI until then.",
        ],
    ),
    "loss": (
        Notice("loss/2026-11", NoticeKind.LOSS, detail="2026-11", loss_microusd=12_345_000, limit_microusd=10_000_000),
        "RED",
        [
            "**Your loss in November 2026 has reached $12.345**",
            "Gateways billed, or may have billed, that much more than people paid. You are told from $10.00 on "
            "(`LOSS_NOTICE_USD`), once a month.",
            "`/video-admin unconfirmed` shows what may add to it. `gallop pause` stops new jobs until `gallop resume`.",
        ],
    ),
    "given up": (
        Notice("delivery_given_up/1", NoticeKind.DELIVERY_GIVEN_UP, job=GIVEN_UP, gateway_title="HiAPI"),
        "AMBER",
        [
            "**A video could not be posted**",
            f"Discord did not take the video of `{JOB_ID}` for <@11>, in <#31> or anywhere else it may go. $0.60 was "
            f"charged. The video is kept: `/video show job:{JOB_ID}` brings it, to that person alone.",
            "Tell <@11>. In a server the bot needs View Channels, Send Messages, Send Messages in Threads, Embed "
            "Links, Attach Files and Read Message History.",
        ],
    ),
    "disk": (
        Notice("disk_low", NoticeKind.DISK_LOW, free_bytes=1_960_000_000),
        "RED",
        [
            "**Only 1.9 GB are free on the bot's disk**",
            "Below 1 GB nothing is submitted: jobs wait in line, and after an hour they end and their price is "
            "released. Jobs that a gateway has already go on.",
            "Make room where `DATA_DIR` and `DATABASE_URL` are, or set `RETENTION_DAYS` lower and start the bot again: "
            "it then deletes older pictures and videos.",
        ],
    ),
}


@pytest.mark.parametrize("name", NOTICES)
def test_a_notice_says_exactly(name: str) -> None:
    notice, accent, lines = NOTICES[name]

    card = notice_card(notice)

    assert words(card) == [*lines, f"-# notice {mark(notice.key)}"]
    assert parts(card)[0]["accent_color"] == Accent[accent]


def test_every_kind_of_notice_has_words() -> None:
    assert {notice.kind for notice, _, _ in NOTICES.values()} == set(NoticeKind)


@pytest.mark.parametrize(
    ("title", "detail", "says"),
    [
        ("PixelDojo", "reference at 1080p", "Set `PIXELDOJO_CREDITS_1080P` or `PIXELDOJO_CREDIT_USD` to what"),
        ("ShortAPI", "text at 720p", "Set `SHORTAPI_720P_USD_PER_S` to what ShortAPI bills, and start the bot again."),
    ],
)
def test_the_setting_to_correct_is_that_of_the_gateway_and_resolution(title: str, detail: str, says: str) -> None:
    notice = Notice("overbilled/x", NoticeKind.OVERBILLED, gateway_title=title, detail=detail)

    assert words(notice_card(notice))[2].startswith(says)


@pytest.mark.parametrize("kind", [NoticeKind.UNCONFIRMED, NoticeKind.DELIVERY_GIVEN_UP])
def test_no_prompt_stands_in_a_notice(kind: NoticeKind) -> None:
    for job in (GIVEN_UP, private(GIVEN_UP)):
        said = " ".join(words(notice_card(Notice("k", kind, job=job, gateway_title="HiAPI"))))

        assert PROMPT not in said


def test_of_a_private_video_the_channel_is_not_named() -> None:
    notice = Notice("k", NoticeKind.DELIVERY_GIVEN_UP, job=private(GIVEN_UP), gateway_title="HiAPI")

    assert "for <@11>, in direct messages or anywhere else" in words(notice_card(notice))[1]


def test_of_a_forgotten_job_nobody_is_sent_after_a_video_that_is_gone() -> None:
    job = replace(GIVEN_UP, forgotten=True)

    said = words(notice_card(Notice("k", NoticeKind.DELIVERY_GIVEN_UP, job=job, gateway_title="HiAPI")))

    assert said[1].endswith("$0.60 was charged. It was deleted, as that person asked.")
    assert said[2].startswith("In a server the bot needs ")


def test_of_a_free_job_nothing_is_on_hold() -> None:
    job = replace(JOB, request=replace(JOB.request, price_microusd=0))

    said = words(notice_card(Notice("k", NoticeKind.UNCONFIRMED, job=job, gateway_title="Animatic")))

    assert said[1].endswith("Nothing is on hold.")


def test_a_mark_is_short_stable_and_tells_nothing_of_the_key() -> None:
    assert mark("loss/2026-11") == mark("loss/2026-11") != mark("loss/2026-12")
    assert len(mark("loss/2026-11")) == 16


def test_a_notice_of_a_job_without_its_job_is_a_bug() -> None:
    with pytest.raises(InvariantBroken):
        notice_card(Notice("k", NoticeKind.UNCONFIRMED))
