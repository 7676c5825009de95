"""The cards say what is true of the job, line by line, inside Discord's limits."""

from dataclasses import replace

import pytest

from bot.domain.errors import Refusal
from bot.domain.job import CardFace, Delivery, Ending, JobState
from bot.domain.job_views import PREVIEW_REMARK
from bot.presentation import cards
from bot.presentation.layout import Accent
from bot.presentation.private_answers import history_card
from tests.presentation.views import IMAGE, JOB_ID, PROMPT, SOON, VIDEO, faces, parts, view, words

FACTS = "<@11> · reference · 3 pictures · 5 s · 720p · 16:9 · HiAPI, HappyHorse 1.1"
WHEN = f"<t:{int(SOON.timestamp())}:R>"
ADDRESSES = [f"attachment://{JOB_ID}-{n}.jpg" for n in (1, 2, 3)]

FACES = {
    "held": ("GREY", [f"● in line (2nd)  ○ rendering  ○ posting · usually done {WHEN}", "$0.645 on hold"]),
    "rendering": ("BLUE", [f"✓ in line  ● rendering  ○ posting · usually done {WHEN}", "$0.645 on hold"]),
    "slow": ("BLUE", ["✓ in line  ● rendering  ○ posting · slower than usual, still running", "$0.645 on hold"]),
    "posting": ("BLUE", ["✓ in line  ✓ rendering  ● posting", "$0.645 charged"]),
    "unconfirmed": (
        "AMBER",
        [
            "HiAPI has not confirmed this job. $0.645 stays on hold; nothing is bought twice. You will be told here.",
        ],
    ),
    "kept": (
        "AMBER",
        [f"The video could not be posted here. $0.645 charged. `/video show job:{JOB_ID}` gets it."],
    ),
    "cancelled": ("GREY", ["Cancelled. $0.645 released."]),
    "failed": (
        "RED",
        ["HiAPI refused picture 2: it cannot be used there. Nothing was charged. Ask again with another picture."],
    ),
    "lost": (
        "RED",
        [
            "HiAPI never confirmed this job. Nothing was charged. "
            "Should the video still arrive, it is posted free of charge."
        ],
    ),
}


@pytest.mark.parametrize("face", FACES)
def test_each_face_says_what_is_true(face: str) -> None:
    accent, lines = FACES[face]

    card = cards.job_card(faces()[face])

    assert words(card) == [f"**{PROMPT}**", FACTS, *lines]
    assert parts(card)[0]["accent_color"] == Accent[accent]


def test_of_a_forgotten_job_no_command_is_promised_that_would_find_nothing() -> None:
    kept = view(JobState.STORED, delivery=Delivery.GIVEN_UP, video=VIDEO, charged_microusd=645_000, forgotten=True)

    assert words(cards.job_card(kept))[-1] == (
        "The video could not be posted here. $0.645 charged. It is deleted, as you asked."
    )


def test_every_face_has_a_card() -> None:
    assert {each.job.face for each in faces().values()} == set(CardFace)
    assert set(FACES) | {"delivered"} == {face.value for face in CardFace}


@pytest.mark.parametrize("face", [face.value for face in CardFace])
def test_only_a_held_card_has_a_button(face: str) -> None:
    buttons = [part for part in parts(cards.job_card(faces()[face])) if part["type"] == 2]

    expected = [(f"gallop:cancel:{JOB_ID}", "Cancel")] if face == "held" else []
    assert [(button["custom_id"], button["label"]) for button in buttons] == expected


def test_a_delivered_card_shrinks_to_one_line() -> None:
    card = cards.delivered_card(faces()["delivered"], link="https://discord.com/channels/21/31/902")

    assert words(card) == [f"{PROMPT} · video: https://discord.com/channels/21/31/902"]
    assert parts(card)[0]["accent_color"] == Accent.GREEN


def test_the_pictures_stand_in_a_numbered_gallery() -> None:
    [gallery] = [part for part in parts(cards.job_card(faces()["held"], pictures=ADDRESSES)) if part["type"] == 12]

    assert [item["media"]["url"] for item in gallery["items"]] == ADDRESSES
    assert gallery["items"][1]["description"] == f"Picture 2: {PROMPT}"


@pytest.mark.parametrize(
    ("place", "place_max", "says"),
    [(1, 3, " (1st)"), (3, 3, " (3rd)"), (4, 3, ""), (12, 99, " (12th)"), (22, 99, " (22nd)")],
)
def test_a_place_too_far_back_to_be_kept_true_is_not_on_the_card(place: int, place_max: int, says: str) -> None:
    card = cards.job_card(view(place_in_line=place), place_shown_max=place_max)

    assert words(card)[2] == f"● in line{says}  ○ rendering  ○ posting"


def test_a_job_whose_gateway_is_busy_says_when_that_is_asked_again() -> None:
    asked_again = view(not_before=SOON, usually_done_at=SOON)
    sent = view(JobState.SUBMITTING, not_before=SOON)

    assert words(cards.job_card(asked_again))[2].endswith(f" · HiAPI is busy; asked again {WHEN}")
    assert "busy" not in " ".join(words(cards.job_card(sent)))


def test_changed_pictures_and_remarks_are_said_on_the_card() -> None:
    images = (IMAGE, replace(IMAGE, note="padded to 1:2.5"))

    card = cards.job_card(
        view(
            images=images,
            remark=PREVIEW_REMARK,
        )
    )

    assert words(card)[2:4] == [
        "-# No paid gateway may be used here, so this is a free preview: pictures in slow moves, no generated video.",
        "-# Picture 2 padded to 1:2.5",
    ]


def test_a_card_whose_prompt_was_deleted_says_so() -> None:
    erased = view(JobState.CANCELLED, prompt="")
    posted = replace(faces()["delivered"], job=erased.job)

    assert words(cards.job_card(erased))[0] == "**(prompt deleted)**"
    assert words(cards.delivered_card(posted, link=None)) == ["(prompt deleted) · video posted"]


def test_a_preview_costs_nothing_in_every_state() -> None:
    for face, each in faces().items():
        text = " ".join(words(cards.job_card(replace(each, free=True))))

        assert "$" not in text, face


def test_what_was_not_charged_of_a_hold_is_released() -> None:
    card = cards.job_card(replace(faces()["posting"], job=replace(faces()["posting"].job, charged_microusd=600_000)))

    assert words(card)[-1] == "$0.60 charged, $0.045 released"


def test_after_a_failover_everything_names_the_gateway_that_made_it_and_what_that_charged() -> None:
    """The hold was HiAPI's price; ShortAPI took the job and its price is less."""
    model = {"gateway_title": "ShortAPI", "model_title": "HappyHorse 1.0", "charged_microusd": 600_000}
    made = view(JobState.STORED, delivery=Delivery.DUE, video=VIDEO, **model)
    kept = view(JobState.STORED, delivery=Delivery.GIVEN_UP, video=VIDEO, **model)
    message = cards.video_message(made, address="attachment://v.mp4", ping=False)

    assert words(cards.job_card(made))[1].endswith("· ShortAPI, HappyHorse 1.0")
    assert words(cards.job_card(made))[-1] == "$0.60 charged, $0.045 released"
    assert words(message)[-1] == "<@11> · 5 s · 720p · ShortAPI, HappyHorse 1.0 · $0.60"
    assert "· ShortAPI, HappyHorse 1.0 · $0.60" in words(cards.kept_video(made, address="attachment://v.mp4"))[1]
    assert "The video could not be posted here. $0.60 charged, $0.045 released. " in words(cards.job_card(kept))[-1]
    assert "· ShortAPI · $0.60 charged, $0.045 released ·" in words(history_card([made]))[-1]


def test_the_video_message_is_the_video_and_its_caption() -> None:
    message = cards.video_message(faces()["delivered"], address=f"attachment://{JOB_ID}.mp4", ping=False)

    [gallery] = [part for part in parts(message) if part["type"] == 12]
    assert gallery["items"][0]["media"]["url"] == f"attachment://{JOB_ID}.mp4"
    assert gallery["items"][0]["description"] == PROMPT
    assert words(message) == [f"**{PROMPT}**", "<@11> · 5 s · 720p · HiAPI, HappyHorse 1.1 · $0.645"]


def test_a_message_that_notifies_begins_with_the_name() -> None:
    message = cards.video_message(faces()["delivered"], address="attachment://v.mp4", ping=True)

    assert words(message) == ["<@11>", f"**{PROMPT}**", "5 s · 720p · HiAPI, HappyHorse 1.1 · $0.645"]


@pytest.mark.parametrize(
    ("link", "way"),
    [
        ("https://gallop.example/v", "video: https://gallop.example/v"),
        (None, f"`/video show job:{JOB_ID}` posts it where larger files are allowed."),
    ],
)
def test_a_video_too_large_for_discord_comes_with_the_way_to_it(link: str | None, way: str) -> None:
    message = cards.video_link_message(faces()["delivered"], link=link, ping=False)

    assert words(message)[-1] == f"The video is ready, but larger than Discord takes here. {way}"


def test_a_late_video_is_said_to_be_free() -> None:
    late = view(JobState.LOST, video=faces()["kept"].job.video)

    assert words(cards.video_message(late, address="attachment://v.mp4", ping=False))[-1].endswith("· nothing charged")


def test_a_shown_video_has_everything_that_made_it() -> None:
    video = cards.kept_video(view(JobState.STORED, seed=7, negative_prompt="rain"), address="attachment://v.mp4")

    assert words(video) == [
        f"**{PROMPT}**",
        "reference · 3 pictures · 5 s · 720p · 16:9 · HiAPI, HappyHorse 1.1 · $0.645 · seed 7",
        "without: rain",
    ]


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"refusal": Refusal.CONTENT}, "HiAPI refused this request: it breaks the content rules there."),
        (
            {"refusal": Refusal.CONTENT, "refused_picture": 2},
            "HiAPI refused picture 2: it breaks the content rules there.",
        ),
        ({"refusal": Refusal.PICTURE}, "HiAPI refused a picture: it cannot be used there."),
        ({"refusal": Refusal.CREDIT}, "HiAPI has no credit left for this bot."),
        ({"refusal": None}, "HiAPI could not make this video and gave no reason."),
        ({"ending": Ending.LINE_TOO_LONG}, "This waited an hour in line and was never started."),
        ({"ending": Ending.NO_VIDEO}, "HiAPI finished, but gave no video that can be played."),
    ],
)
def test_a_failure_says_why_and_that_nothing_was_charged(facts: dict, says: str) -> None:
    failed = view(JobState.FAILED, **{"ending": Ending.REFUSED, **facts})

    for message in (cards.job_card(failed), cards.explanation(failed)):
        assert words(message)[-1].startswith(f"{says} Nothing was charged. ")


@pytest.mark.parametrize(
    ("ending", "now"),
    [
        (Ending.LINE_TOO_LONG, "Ask again."),
        (Ending.TOO_MANY_FAILURES, "Ask again tomorrow (UTC)."),
        (Ending.UNPRICED, "Choose another gateway."),
        (Ending.PLACE_GONE, "Ask where the bot may post."),
        (Ending.UPLOAD_IMPOSSIBLE, "Ask again with another gateway; the operator can look at the log."),
    ],
)
def test_an_ending_says_what_helps_now(ending: Ending, now: str) -> None:
    card = cards.job_card(view(JobState.FAILED, ending=ending))

    assert words(card)[-1].endswith(f" Nothing was charged. {now}")


@pytest.mark.parametrize("ending", Ending)
@pytest.mark.parametrize("refusal", [*Refusal, None])
def test_every_ending_has_a_sentence(ending: Ending, refusal: Refusal | None) -> None:
    card = cards.job_card(view(JobState.FAILED, ending=ending, refusal=refusal))

    assert "Nothing was charged." in words(card)[-1]
    assert "{" not in words(card)[-1]


def test_the_job_id_stands_on_no_card_before_its_video_is_kept() -> None:
    """The video message is found again by that id: a card or explanation with it would be taken for the video."""
    for face, each in faces().items():
        if face != "kept":
            assert JOB_ID not in " ".join(words(cards.job_card(each))), face


@pytest.mark.parametrize("face", [face.value for face in CardFace])
@pytest.mark.parametrize("prompt", ["@" * 5_000, "*\n" * 2_500, "\u202e" * 5_000, "🏇" * 5_000])
def test_every_message_stays_inside_discords_limits(face: str, prompt: str) -> None:
    each = faces()[face]
    job = replace(each.job, request=replace(each.job.request, prompt=prompt), images=(IMAGE,) * 9)
    each = replace(each, job=job, remark="x" * 60)
    addresses = [f"attachment://{n}.jpg" for n in range(9)]

    for message in (
        cards.job_card(each, pictures=addresses),
        cards.explanation(each),
        cards.video_message(each, address="attachment://v.mp4", ping=True),
        cards.kept_video(each, address="attachment://v.mp4"),
    ):
        assert message.content_length() <= 4_000
        assert message.total_children_count <= 40
        for part in parts(message):
            assert all(len(item["description"]) <= 1_024 for item in part.get("items", []))


def test_a_private_request_is_announced_without_markdown_of_its_own() -> None:
    assert cards.knock_text("# loud @everyone") == (
        "You asked for a private video: **\\# loud @\u200beveryone**\nIts card and the video come here."
    )


async def test_discord_py_keeps_no_card_in_memory() -> None:
    assert not cards.job_card(faces()["held"]).is_dispatchable()
