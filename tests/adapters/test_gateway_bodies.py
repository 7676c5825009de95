"""What the three adapters send and say of themselves, in one suite."""

import json

import pytest

from bot.domain.request import Mode, Resolution
from tests.adapters.gateway_cases import CASES, Case, attempt_for, request_for, submission_for

CALLBACK = "https://bot.example/callback/job-1/token"

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
MODES = [(case, mode) for case in CASES for mode in case.build().capabilities.modes]


@pytest.mark.parametrize(("case", "mode"), MODES, ids=lambda value: getattr(value, "name", value))
def test_every_option_is_sent_explicitly_and_the_same_request_gives_the_same_bytes(case: Case, mode: Mode) -> None:
    gateway = case.build()
    submission = submission_for(request_for(gateway, mode))

    body = gateway.body(submission)

    values = json.loads(body)
    flat = values | values.get("args", {}) | values.get("input", {})
    assert body == gateway.body(submission)
    assert flat["duration"] == 5
    assert flat["resolution"].lower() == "720p"
    ratio = [flat[key] for key in ("ratio", "aspect_ratio", "aspectRatio") if key in flat]
    assert ratio == (["9:16"] if gateway.capabilities.modes[mode].ratios else [])


@pytest.mark.parametrize(("case", "mode"), MODES, ids=lambda value: getattr(value, "name", value))
def test_a_callback_address_is_sent_only_when_there_is_one(case: Case, mode: Mode) -> None:
    gateway = case.build()
    request = request_for(gateway, mode)
    field = gateway.capabilities.callback_field or ""

    without = json.loads(gateway.body(submission_for(request)))
    given = json.loads(gateway.body(submission_for(request, callback=CALLBACK)))

    assert field not in without
    assert CALLBACK in json.dumps(given[field])


@cases
def test_a_prompt_leaves_as_it_is_written(case: Case) -> None:
    gateway = case.build()
    prompt = 'Nein, "héhé" 跳舞 \U0001f984\nsecond line \\ tab\t'

    body = gateway.body(submission_for(request_for(gateway, prompt=prompt)))
    values = json.loads(body)

    assert "跳舞 \U0001f984".encode() in body
    assert (values | values.get("args", {}) | values.get("input", {}))["prompt"] == prompt


@cases
def test_capabilities_say_what_the_pages_say(case: Case) -> None:
    capabilities = case.build().capabilities
    reference = capabilities.modes[Mode.REFERENCE].pictures

    assert reference is not None
    assert (reference.count_min, reference.count_max, reference.short_side_min_px) == (1, 9, 400)
    assert all((mode.duration_min_s, mode.duration_max_s) == (3, 15) for mode in capabilities.modes.values())
    assert capabilities.task_life_s == 86_400
    assert Resolution.P720 in capabilities.prices
    if Mode.IMAGE in capabilities.modes:
        image = capabilities.modes[Mode.IMAGE]
        assert image.ratios == ()
        assert image.pictures is not None
        assert (image.pictures.count_max, image.pictures.short_side_min_px) == (1, 300)


@cases
def test_an_attempt_carries_the_model_of_its_mode(case: Case) -> None:
    gateway = case.build()
    attempt = attempt_for(gateway, submission_for(request_for(gateway)))

    assert attempt.model.endswith(("reference-to-video", "r2v"))
