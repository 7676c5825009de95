"""The document of one's own data: readable, complete, and without what is the operator's or somebody else's."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.guild import ActKind, AuditEntry, Block, Grant, PersonSettings
from bot.domain.guild_store import PersonFacts
from bot.domain.job import Attempt, Delivery, Ending, Job, JobState, LedgerEntry, LedgerKind, MessageRef
from bot.domain.privacy import PersonalData
from bot.domain.request import Image
from bot.domain.rules import Rule, Scope
from bot.domain.store import Forgotten
from bot.presentation.personal_data import GONE, NO_ROOM, document, files_of
from bot.presentation.privacy import DELETE_ID, deleted_card, deletion_card, export_card
from tests.presentation.views import JOB, JOB_ID, NOW, PROMPT, VIDEO, parts, view, words

OTHER_ID = "01m7wd7tg0zs22al"
PNG = Image("b.png", "image/png", 640, 480, 777, note="padded to 1:2.5")
ATTEMPT = Attempt(
    JOB_ID, 1, "hiapi", "happyhorse-1.1", b"the body", "the-key", "the-token", NOW, 645_000, gateway_job_id="tk-7"
)


def stored(**changes: Any) -> Job:
    facts = {
        "attempt": ATTEMPT,
        "video": VIDEO,
        "video_address": "https://signed.example/?sig=1",
        "video_message": MessageRef(31, 902),
        "charged_microusd": 590_000,
        "refunded_microusd": 10_000,
        "submitted_at": NOW,
        "delivery": Delivery.POSTED,
    }
    return view(JobState.STORED, **{**facts, **changes}).job


def read(data: PersonalData, **missing: str) -> dict[str, Any]:
    return json.loads(document(data, missing=missing, made_at=NOW))


def test_every_fact_of_a_job_is_there_by_a_readable_name() -> None:
    job = stored(images=(PNG,), seed=7, negative_prompt="rain")

    [told] = read(PersonalData(11, (job,), ()))["jobs"]

    assert told == {
        "job_id": JOB_ID,
        "mode": "reference",
        "deletion_asked": False,
        "deleted": False,
        "prompt": PROMPT,
        "negative_prompt": "rain",
        "resolution": "720p",
        "ratio": "16:9",
        "duration_s": 5,
        "seed": 7,
        "gateway": "hiapi",
        "gateway_named_by_you": False,
        "model": "happyhorse-1.1",
        "private": False,
        "server_id": "21",
        "channel_id": "31",
        "state": "stored",
        "delivery": "posted",
        "ending": None,
        "refusal": None,
        "refused_picture": None,
        "created_at": NOW.isoformat(),
        "submitted_at": NOW.isoformat(),
        "finished_at": None,
        "state_since": NOW.isoformat(),
        "price": {"usd": "$0.645", "microusd": 645_000},
        "charged": {"usd": "$0.59", "microusd": 590_000},
        "refunded": {"usd": "$0.01", "microusd": 10_000},
        "pictures": [
            {
                "file": f"pictures/{JOB_ID}-1.png",
                "width": 640,
                "height": 480,
                "bytes": 777,
                "changed": "padded to 1:2.5",
            }
        ],
        "video": {
            "file": f"videos/{JOB_ID}.mp4",
            "duration_s": 5.0,
            "width": 1280,
            "height": 720,
            "bytes": 1_000_000,
        },
        "card": None,
        "pictures_message": None,
        "video_message": {"channel_id": "31", "message_id": "902"},
    }


@pytest.mark.parametrize("secret", ["the body", "the-key", "the-token", "tk-7", "signed.example"])
def test_no_secret_of_the_operator_is_in_it(secret: str) -> None:
    assert secret not in document(PersonalData(11, (stored(),), ()), missing={}, made_at=NOW).decode()


def test_a_job_that_never_began_and_one_that_failed_are_told_too() -> None:
    failed = replace(view(JobState.FAILED).job, ending=Ending.LINE_TOO_LONG)

    told = read(PersonalData(11, (JOB, failed), ()))["jobs"]

    assert [(each["state"], each["ending"], each["video"]) for each in told] == [
        ("held", None, None),
        ("failed", "line_too_long", None),
    ]
    assert told[0]["charged"] is None


def test_the_ledger_is_told_with_reasons() -> None:
    entries = (
        LedgerEntry(JOB_ID, LedgerKind.SETTLE, 645_000, NOW),
        LedgerEntry(JOB_ID, LedgerKind.REFUND, 45_000, NOW, reason="It did not move"),
    )

    assert read(PersonalData(11, (), entries))["ledger"][1] == {
        "job_id": JOB_ID,
        "kind": "refund",
        "amount": {"usd": "$0.045", "microusd": 45_000},
        "at": NOW.isoformat(),
        "reason": "It did not move",
    }


def test_what_was_decided_is_told_without_who_decided_it() -> None:
    manager, later = 4_242_424_242, NOW + timedelta(days=1)
    facts = PersonFacts(
        settings=PersonSettings(11, confirm_above_microusd=2_000_000, week_microusd=0),
        rules=((21, Rule(Scope.MEMBER, 11, day_microusd=5_000_000, week_videos=3)),),
        grants=(Grant(7, 21, 11, 5_000_000, 645_000, later, "a birthday", manager, NOW),),
        blocks=((22, Block(11, None, "", manager, NOW)),),
        acts=(AuditEntry(3, 21, ActKind.GRANTED, manager, NOW, "grant 7", "", "$5.00", 11, JOB_ID),),
    )
    told = read(PersonalData(11, (), (), facts))

    assert told["settings"] == {
        "asked_above": {"usd": "$2.00", "microusd": 2_000_000},
        "day": None,
        "week": {"usd": "$0.00", "microusd": 0},
        "month": None,
    }
    assert told["rules"] == [{"server_id": "21", "says": "$5.00 a day, 3 videos a week"}]
    assert told["grants"] == [
        {
            "server_id": "21",
            "amount": {"usd": "$5.00", "microusd": 5_000_000},
            "used": {"usd": "$0.645", "microusd": 645_000},
            "expires_at": later.isoformat(),
            "reason": "a birthday",
            "granted_at": NOW.isoformat(),
        }
    ]
    assert told["blocks"] == [{"server_id": "22", "until": None, "reason": None, "blocked_at": NOW.isoformat()}]
    assert told["acts"] == [
        {
            "server_id": "21",
            "what": "granted",
            "subject": "grant 7",
            "before": None,
            "after": "$5.00",
            "job_id": JOB_ID,
            "at": NOW.isoformat(),
        }
    ]
    assert str(manager) not in json.dumps(told)


def test_where_nothing_was_decided_the_document_says_nothing_of_it() -> None:
    told = read(PersonalData(11, (), ()))

    assert told["settings"] is None
    assert [told[part] for part in ("rules", "grants", "blocks", "acts")] == [[], [], [], []]


def test_what_is_left_out_is_named_with_the_way_to_it() -> None:
    job = stored(images=(PNG, PNG))
    missing = {f"pictures/{JOB_ID}-1.png": NO_ROOM, f"pictures/{JOB_ID}-2.png": GONE, f"videos/{JOB_ID}.mp4": NO_ROOM}

    told = json.loads(document(PersonalData(11, (job,), ()), missing=missing, made_at=NOW))

    assert [(left["why"], left["where"]) for left in told["left_out"]] == [
        (NO_ROOM, "the job's card on Discord shows it"),
        (GONE, None),
        (NO_ROOM, f"/video show job:{JOB_ID}"),
    ]
    assert [picture["file"] for picture in told["jobs"][0]["pictures"]] == [None, None]


def test_of_an_erased_job_what_is_left_is_told_and_no_file() -> None:
    """Its video may still lie on the disk until it is tidied away."""
    job = stored(prompt="", forgotten=True, images=())

    data = PersonalData(11, (job,), ())
    [told] = read(data)["jobs"]

    assert files_of(data) == []
    assert (told["deletion_asked"], told["deleted"], told["prompt"]) == (True, True, None)
    assert (told["video"]["file"], told["video"]["bytes"]) == (None, 1_000_000)
    assert told["charged"]["microusd"] == 590_000


def test_of_a_forgotten_job_that_goes_on_everything_is_still_there() -> None:
    job = view(JobState.RUNNING, forgotten=True, images=(PNG,)).job

    data = PersonalData(11, (job,), ())
    [told] = read(data)["jobs"]

    assert [file.name for file in files_of(data)] == [f"pictures/{JOB_ID}-1.png"]
    assert (told["deletion_asked"], told["deleted"], told["prompt"]) == (True, False, PROMPT)


def test_all_pictures_come_before_the_videos_and_the_newest_job_first() -> None:
    newer, older = stored(images=(PNG,)), stored(job_id=OTHER_ID, images=(PNG,))

    assert [file.name for file in files_of(PersonalData(11, (newer, older), ()))] == [
        f"pictures/{JOB_ID}-1.png",
        f"pictures/{OTHER_ID}-1.png",
        f"videos/{JOB_ID}.mp4",
        f"videos/{OTHER_ID}.mp4",
    ]


def test_every_key_that_needs_it_is_explained() -> None:
    told = read(PersonalData(11, (stored(images=(PNG,)),), ()))

    for path in told["about"]:
        if path != "what":
            found: Any = told
            for key in path.split("."):
                found = (found[0] if isinstance(found, list) else found)[key]


def test_the_answer_counts_what_is_in_the_file() -> None:
    card = export_card(jobs=2, deleted=1, pictures=1, videos=0, no_room=3)

    assert words(card)[:5] == [
        "**Your data**",
        "`data.json` holds your 2 jobs with prompts, options, times and amounts, your ledger, settings, grants and "
        "blocks.",
        "1 job of these is deleted: no prompt, no files.",
        "Beside it: 1 picture.",
        "3 files do not fit into what Discord takes here; `data.json` names them. `/video show` brings each video.",
    ]
    assert [part["file"]["url"] for part in parts(card) if part["type"] == 13] == ["attachment://gallop-data.zip"]


def test_the_button_names_who_may_press_it() -> None:
    [button] = [part for part in parts(deletion_card(80351110224678912)) if part["type"] == 2]

    assert DELETE_ID.fullmatch(button["custom_id"])["user_id"] == "80351110224678912"


@pytest.mark.parametrize(
    ("forgotten", "lines"),
    [
        (Forgotten(0, 0, 0), ["There was nothing to delete."]),
        (Forgotten(0, 12, 0), ["**Your data is deleted**", "12 jobs deleted, with prompt, pictures and video."]),
        (Forgotten(0, 0, 1), ["**Your data will be deleted**", "1 job not over yet: deleted soon after the end."]),
        (
            Forgotten(2, 0, 1),
            [
                "**Your data is deleted**",
                "2 jobs in line cancelled, the price released.",
                "1 job not over yet: deleted soon after the end.",
            ],
        ),
        (
            Forgotten(0, 0, 0, settings=True),
            ["**Your data is deleted**", "What you had set with `/video quota` is deleted."],
        ),
    ],
)
def test_the_deletion_is_counted_in_words(forgotten: Forgotten, lines: list[str]) -> None:
    assert words(deleted_card(forgotten)) == lines
