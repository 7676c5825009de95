"""What a gateway's words are taken to mean."""

import pytest

from bot.adapters.gateways import refusals
from bot.domain.errors import Refusal

CONTENT_TEXTS = [
    "DataInspectionFailed",
    "data_inspection failed",
    "Output data may contain Inappropriate Content",
    "IPInfringementSuspect",
    "content_policy violation",
    "did not pass moderation",
    "sensitive words",
    "NSFW",
    "upstream rejected the prompt",
]


@pytest.mark.parametrize("text", CONTENT_TEXTS)
@pytest.mark.parametrize("status", [200, 400, 403, 422])
def test_a_refusal_about_the_content_is_never_about_the_gateway(text: str, status: int) -> None:
    found = refusals.submission_refusal(status, refusals.words({"message": text}))

    assert found is Refusal.CONTENT
    assert not found.about_gateway


@pytest.mark.parametrize("text", CONTENT_TEXTS)
def test_a_failed_job_is_about_the_content_in_the_same_words(text: str) -> None:
    assert refusals.job_refusal(refusals.words(text)) is Refusal.CONTENT


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (401, "", Refusal.KEY),
        (402, "", Refusal.CREDIT),
        (403, "", Refusal.KEY),
        (403, "insufficient_credits", Refusal.CREDIT),
        (404, "no such thing", Refusal.MODEL),
        (415, "", Refusal.REQUEST),
        (429, "", Refusal.BUSY),
        (503, "", Refusal.BUSY),
        (400, "additional properties 'audio' not allowed", Refusal.REQUEST),
        (400, "MODEL_UNAVAILABLE retry shortly", Refusal.MODEL),
        (400, "image 2 is too small", Refusal.PICTURE),
        (422, "", Refusal.REQUEST),
        (200, "invalid model", Refusal.MODEL),
        (200, "invalid model alibaba/happyhorse-1.0/image-to-video", Refusal.MODEL),
        (200, "model alibaba/happyhorse-1.0/reference-to-video went away", Refusal.OTHER),
        (200, "your balance is too low", Refusal.CREDIT),
        (200, "Invalid API key", Refusal.KEY),
        (200, "too many requests", Refusal.BUSY),
        (200, "something", Refusal.OTHER),
    ],
)
def test_a_refused_submission_is_cut_by_status_and_words(status: int, text: str, expected: Refusal) -> None:
    assert refusals.submission_refusal(status, refusals.words(text)) is expected


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("image 2 shows a real person's face", 2),
        ("[Image 3] could not be read", 3),
        ("character1 is blurred", 1),
        ("reference_urls[1] is unreachable", 2),
        ("input.images.0: too small", 1),
        ("/input/reference_image/8 invalid", 9),
        ("image_urls[0]", 1),
        ("Reference #4.", 4),
        ("images[9]", None),
        ("image 400 px", None),
        ("image 3 px too small", None),
        ("image 2.5:1", None),
        ("image too small", None),
        ("", None),
    ],
)
def test_the_refused_picture_is_found_where_it_is_named(text: str, position: int | None) -> None:
    assert refusals.refused_picture(refusals.words(text)) == position


def test_a_face_in_a_picture_is_about_the_picture() -> None:
    assert refusals.job_refusal("the first frame shows a real person") is Refusal.FACE
    assert refusals.job_refusal("upstream timeout") is Refusal.OTHER


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"data": {"job_id": "x"}}, True),
        ({"a": [{"taskId": 5}]}, True),
        ({"JobID": "x"}, True),
        ({"job_id": "", "taskId": None}, False),
        ({"request_id": "req_1", "id": "1"}, False),
        (None, False),
    ],
)
def test_a_job_id_is_found_wherever_it_hides(value: object, expected: bool) -> None:
    assert refusals.names_a_job(value) is expected


def test_words_are_cut_so_that_no_answer_costs_much() -> None:
    assert len(refusals.words(["x" * 1_000_000])) == 4_000


@pytest.mark.parametrize("prompt", ["A merchant counts his credits", "A scale in balance", "No permission to enter"])
def test_a_prompt_that_a_gateway_quotes_is_not_its_reason(prompt: str) -> None:
    quoted = f"invalid value: {prompt.lower()}"
    error = refusals.refused("hiapi", 400, quoted, sent=f'{{"prompt":"{prompt}"}}'.encode(), retry_after_s=None)

    assert not error.reason.about_gateway
    assert refusals.refused("hiapi", 400, quoted, sent=b"{}", retry_after_s=None).reason.about_gateway
