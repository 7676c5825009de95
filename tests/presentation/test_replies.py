"""Every refusal has words of its own: what is wrong, what was held, what to do now."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bot.domain import errors
from bot.domain.binding import BindProblem, BindRejected
from bot.domain.errors import (
    DirectMessagesClosed,
    GatewayRejected,
    NotAnOperator,
    NotYourJob,
    OptionRejected,
    Paused,
    PictureCountRejected,
    PictureGapRejected,
    PictureProblem,
    PictureRejected,
    PlaceRejected,
    PromptProblem,
    PromptRejected,
    QuotaExceeded,
    RequestRejected,
    TooLateToCancel,
    TooManyFailures,
    TooManyPreviews,
    Unavailable,
)
from bot.domain.quota import LimitKind, Standing
from bot.domain.request import Mode
from bot.domain.windows import Window
from bot.presentation.replies import error_reply, reply

ENDS = datetime(2026, 11, 21, tzinfo=UTC)
AGAIN = f"<t:{int(ENDS.timestamp())}:R>"
UNTIL = "until <t:{0}:f> (<t:{0}:R>)".format(int(ENDS.timestamp()))


def beyond(kind: LimitKind, left_microusd: int) -> QuotaExceeded:
    return QuotaExceeded(2_290_000, Standing(kind, Window.DAY, 5_000_000, 5_000_000 - left_microusd, ENDS))


def kinds(of: type[RequestRejected] = RequestRejected) -> Iterator[type[RequestRejected]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds()))
def test_every_refusal_has_a_reply_of_its_own(kind: type[RequestRejected]) -> None:
    assert reply.dispatch(kind) is not reply.dispatch(RequestRejected)


REPLIES = [
    (
        PictureRejected(2, PictureProblem.TOO_SMALL, Mode.REFERENCE, width=380, height=512, limit=400),
        "Picture 2 is 380 × 512 pixels; references need 400 on the short side. Nothing was held.\nSend a larger copy.",
    ),
    (
        PictureRejected(1, PictureProblem.UNREADABLE, Mode.IMAGE),
        "Picture 1 could not be fetched from Discord. Nothing was held.\nAttach it again.",
    ),
    (
        PictureCountRejected(Mode.REFERENCE, 10, 1, 9),
        "10 pictures are attached; `/video reference` takes 1 to 9. Nothing was held.",
    ),
    (
        PictureCountRejected(Mode.REFERENCE, 0, 1, 9),
        "No picture is attached; `/video reference` takes 1 to 9. Nothing was held.\nAttach one and ask again.",
    ),
    (
        PictureCountRejected(Mode.IMAGE, 2, 1, 1),
        "2 pictures are attached; `/video image` takes 1. Nothing was held.",
    ),
    (
        beyond(LimitKind.USER, 1_400_000),
        f"This would take $2.29; you have $1.40 left {UNTIL} (the operator's limit). Nothing was held.\n"
        "$0.89 is missing. A shorter video or 720p costs less, `gateway:animatic` nothing; `/video quota` shows your "
        "limits.",
    ),
    (
        beyond(LimitKind.GUILD, 0),
        f"This would take $2.29; this server has $0.00 left {UNTIL} (the operator's limit). Nothing was held.\n"
        "$2.29 is missing. `gateway:animatic` makes a free preview; `/video quota` shows your limits.",
    ),
    (
        beyond(LimitKind.BOT, 5_000),
        f"This would take $2.29, more than the whole bot has left {UNTIL}. Nothing was held.\n"
        "A shorter video or 720p costs less, `gateway:animatic` nothing.",
    ),
    (
        TooManyFailures(5, ENDS),
        "5 videos of yours failed today without a charge, and that is the limit. Nothing was held.\n"
        f"Ask again {AGAIN}.",
    ),
    (
        TooManyPreviews(10, ENDS),
        f"You have made 10 free previews today, and that is the limit. Nothing was held.\nAsk again {AGAIN}.",
    ),
    (
        Paused(),
        "The operator has paused new videos. Nothing was held.\nThose already under way go on. Ask again later.",
    ),
    (
        PlaceRejected(("Embed Links", "Attach Files")),
        "The bot could not post the video here: it lacks Embed Links and Attach Files. Nothing was held.\n"
        "Somebody who manages the channel can allow it; `private:True` works without.",
    ),
    (
        DirectMessagesClosed(),
        "A private video comes by direct message, and yours are closed to the bot. Nothing was held.\n"
        "Allow direct messages from this server's members, or leave out `private`.",
    ),
    (NotYourJob(), "You have no such job. Nothing was changed.\n`/video history` lists yours."),
    (NotAnOperator(), "Only the bot's operators may do this. Nothing was changed."),
    (
        BindRejected(BindProblem.NOT_UNCONFIRMED, ""),
        "This job is not unconfirmed, or not any more. Nothing was changed.",
    ),
    (
        BindRejected(BindProblem.NOT_READABLE, "HiAPI"),
        "HiAPI shows no job of that id, or cannot be asked just now. Nothing was changed.\n"
        "Compare the id with the one HiAPI gives, and try again.",
    ),
    (
        BindRejected(BindProblem.TAKEN, "HiAPI"),
        "HiAPI gave that id to another job here. Nothing was changed.",
    ),
    (
        GatewayRejected("HiAPI", Unavailable.OUT, Mode.TEXT),
        "HiAPI takes no jobs at the moment. Nothing was held.\n"
        "Choose another gateway or `gateway:auto`, or ask again later; the operator is told.",
    ),
    (
        GatewayRejected("", Unavailable.OUT, Mode.TEXT),
        "No gateway that can make this takes jobs at the moment. Nothing was held.\n"
        "Ask again later, the operator is told; `gateway:animatic` makes a free preview.",
    ),
    (
        TooLateToCancel("HiAPI", ended=False),
        "HiAPI has it already; it cannot be stopped. You pay only if the video arrives.",
    ),
    (
        TooLateToCancel("HiAPI", ended=False, confirmed=False),
        "HiAPI may have it already; it cannot be stopped. You pay only if the video arrives.",
    ),
    (
        PictureGapRejected(2),
        "`image2` is empty, but a later one is filled. Nothing was held.\n"
        "Fill them in order: [Image 2] in the prompt is the picture in `image2`.",
    ),
    (
        TooLateToCancel("HiAPI", ended=True),
        "This job has ended; there is nothing to cancel. Nothing was changed.",
    ),
    (
        OptionRejected("ratio", "9:21", "ShortAPI", ("16:9", "9:16", "1:1")),
        "ShortAPI has no ratio 9:21; possible: 16:9, 9:16 or 1:1. Nothing was held.",
    ),
    (
        OptionRejected("seed", "given", "HiAPI"),
        "HiAPI cannot take a seed. Nothing was held.\nLeave out `seed`, or choose another gateway.",
    ),
    (
        OptionRejected("negative_prompt", "given"),
        "No gateway that can make this takes a negative prompt. Nothing was held.\nLeave out `negative_prompt`.",
    ),
    (
        GatewayRejected("<@1> **x**", Unavailable.NO_SUCH_GATEWAY, Mode.TEXT, ("auto", "hiapi")),
        "There is no gateway “\\<@\u200b1\\> \\*\\*x\\*\\*”; there are auto and hiapi. Nothing was held.",
    ),
    (
        PromptRejected(PromptProblem.UNKNOWN_PICTURE, measured=1, limit=0),
        "The prompt names [Image 1], but no picture is attached. Nothing was held.\n`/video reference` takes pictures.",
    ),
]


@pytest.mark.parametrize(("error", "words"), REPLIES, ids=lambda value: type(value).__name__)
def test_a_refusal_says_exactly(error: RequestRejected, words: str) -> None:
    assert reply(error) == words


@pytest.mark.parametrize("problem", PictureProblem)
@pytest.mark.parametrize("mode", [Mode.IMAGE, Mode.REFERENCE])
def test_every_problem_of_a_picture_is_named_with_its_number(problem: PictureProblem, mode: Mode) -> None:
    words = reply(PictureRejected(3, problem, mode, width=299, height=900, measured=26_000_000, limit=25_000_000))

    assert words.startswith("Picture 3 ")
    assert "Nothing was held." in words


@pytest.mark.parametrize("why", Unavailable)
def test_every_reason_a_gateway_cannot_be_used_for_has_words(why: Unavailable) -> None:
    words = reply(GatewayRejected("PixelDojo", why, Mode.TEXT, ("auto", "hiapi")))

    assert "PixelDojo" in words
    assert "Nothing was held." in words


@pytest.mark.parametrize("kind", LimitKind)
def test_every_limit_has_words(kind: LimitKind) -> None:
    assert UNTIL in reply(beyond(kind, 1))


@pytest.mark.parametrize("error", [error for error, _ in REPLIES], ids=lambda value: type(value).__name__)
def test_a_refusal_has_three_lines_at_most(error: RequestRejected) -> None:
    assert len(reply(error).split("\n")) <= 3


def test_a_failed_database_is_said_and_nothing_was_held() -> None:
    assert error_reply(errors.StoreFailed()) == (
        "The bot could not use its database. Nothing was changed or held.\nTry again in a minute."
    )


def test_the_command_trees_wrapper_is_looked_through() -> None:
    class Wrapper(Exception):
        original = NotYourJob()

    assert error_reply(Wrapper()) == reply(NotYourJob())


def test_a_bug_is_answered_without_a_word_of_its_own_text() -> None:
    words = error_reply(ValueError("https://secret.example/?key=1"))

    assert words == (
        "Something went wrong in the bot, and it was logged.\n`/video status` shows whether your video is under way."
    )
