"""The report over the wire: a real picture, drawn by the child process, and both files in one private message."""

import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.scenarios.theatre import theatre

pytestmark = pytest.mark.wire


async def test_an_operator_gets_a_picture_and_two_files_in_one_message(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        await t.command("video text", {"prompt": "A paper boat", "gateway": "shortapi", "duration": 3})
        await t.video()
        await t.card("discord.com/channels")

        asked = await t.command("video-admin report", {"period": "day"}, user=t.discord.owner)
        answer = await asked.answer()
        files = {file.filename: await t.discord.download(file.url) for file in answer.media}

        assert answer.ephemeral
        assert "$0.387 spent · $0.00 on hold · 1 video · 0 (0 %) failed" in answer.text
        assert "Operator's loss: $0.00" in answer.text
        assert set(files) == {"report.png", "report.csv", "report.json"}
        assert Image.open(BytesIO(files["report.png"])).format == "PNG"
        assert json.loads(files["report.json"])["by_member"][0]["member_id"] == str(t.member.id)
        assert len(files["report.csv"].splitlines()) == 2
