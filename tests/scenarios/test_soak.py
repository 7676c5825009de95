"""Gateways that fail one request in five, a bot that is killed again and again: in the end every invariant holds."""

import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.scenarios.soak import Size, Summary, soak, summary
from tests.scenarios.soak_checks import Records, check

pytestmark = [pytest.mark.wire, pytest.mark.soak]

_STORIES_MAX = 5


@pytest.mark.timeout(3_600)
async def test_after_every_fault_and_kill_all_invariants_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """SOAK_JOBS, SOAK_KILLS and SOAK_SEED set how much; SOAK_REPORT names a file for the figures."""
    size, started = Size.from_environment(), time.monotonic()
    async with soak(tmp_path, size) as soaked:
        await soaked.run()
    records = await soaked.records()
    report = summary(soaked, records, took_s=time.monotonic() - started)
    with capsys.disabled():
        _show(report)

    problems = check(records)
    assert not problems, _told(problems, records)
    assert (report.kills, report.jobs >= size.jobs) == (size.kills, True)


def _show(report: Summary) -> None:
    print("", *report.lines(), sep="\n")  # noqa: T201 - the figures are for whoever runs it
    if path := os.environ.get("SOAK_REPORT"):
        Path(path).write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")


def _told(problems: Sequence[str], records: Records) -> str:
    """Say what is wrong, and what the log says of the first jobs it is wrong with."""
    named = re.findall(r"^job (\w+)", "\n".join(problems), re.MULTILINE)
    stories = [line for job_id in list(dict.fromkeys(named))[:_STORIES_MAX] for line in ("", *records.story(job_id))]
    return "\n".join([*problems, *stories])
