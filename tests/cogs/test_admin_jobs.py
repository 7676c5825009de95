"""`/video-admin jobs`, `release`, `refund` and `deliver`: exact words, this server's jobs alone, and no prompt."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.adapters.discord.client import GallopBot
from bot.domain.job import Delivery, Job, JobState, MessageRef
from bot.domain.request import Ask, Mode, Place
from tests.cogs.stage import Stage, shown, stage
from tests.cogs.walks import opened, running, stored, unconfirmed

NO_JOB = "This server has no such job. Nothing was changed.\n`/video-admin jobs` lists the newest."
NO_GUILD = "This works only on a server. Nothing was changed.\nUse it in a channel of the server that you manage."


@dataclass
class Scene:
    """The stage, and a manager beside the member whose jobs they are."""

    on: Stage
    boss: Any

    async def run(self, command: str, **options: Any) -> Any:
        return await self.boss.slash(self.on.channel, f"video-admin {command}", **options)

    async def say(self, command: str, **options: Any) -> str:
        result = await self.run(command, **options)
        assert result.ephemeral
        return shown(result)

    async def choices(self, command: str, typed: str = "") -> list[dict[str, Any]]:
        return await self.boss.autocomplete(self.on.channel, f"video-admin {command}", "job", typed)

    async def posted(self, **more: Any) -> Job:
        job = await stored(self.on, await opened(self.on, **more))
        message = MessageRef(self.on.channel.id, 77)
        await self.on.store.delivered(job.job_id, message=message, now=self.on.clock.now())
        return await self.now(job)

    async def now(self, job: Job) -> Job:
        found = await self.on.store.job(job.job_id)
        assert found is not None
        return found


@asynccontextmanager
async def admin_scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with stage(tmp_path, jobs_run=False) as on:
        role = on.guild.create_role("boss", permissions=discord.Permissions(manage_guild=True))
        yield Scene(on, on.guild.add_member(on.env.create_user("otto"), roles=[role]))


def stamp(job: Job) -> str:
    return f"<t:{int(job.created_at.timestamp())}:R>"


async def elsewhere(on: Stage) -> Job:
    """Open a job of the member in another guild."""
    ask = Ask(9_999, on.member.id, Place(50, on.guild.id + 1), Mode.TEXT, "A boat elsewhere")
    return (await on.service.open(ask)).view.job


async def test_the_list_shows_this_servers_jobs_newest_first_and_no_prompt(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        on = scene.on
        await elsewhere(on)
        posted = await scene.posted()
        waiting = await opened(on, "A secret boat")

        lines = (await scene.say("jobs")).split("\n")

        link = f"https://discord.com/channels/{on.guild.id}/{on.channel.id}/77"
        assert lines == [
            "**2 jobs**",
            f"<@{on.member.id}> · text · 5 s · 720p",
            f"in line · $0.645 on hold · {stamp(waiting)} · <#{on.channel.id}> · `{waiting.job_id}`",
            f"<@{on.member.id}> · text · 5 s · 720p",
            f"posted · $0.645 charged · {stamp(posted)} · {link} · `{posted.job_id}`",
            "-# `/video-admin release` ends a job in line, `refund` gives a charge back, "
            "`deliver` posts a video again.",
        ]


async def test_the_list_can_be_of_one_member_and_one_state(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        posted = await scene.posted()
        await opened(scene.on)

        found = await scene.say("jobs", member=scene.on.member, state="video")
        none = await scene.say("jobs", member=scene.boss, state="lost")

        assert found.startswith(f"**1 job · <@{scene.on.member.id}> · posting, posted or kept**\n")
        assert posted.job_id in found
        assert none == f"No jobs · <@{scene.boss.id}> · lost"


async def test_pages_turn_also_after_a_restart_and_not_after_fifteen_minutes(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        jobs = [await opened(scene.on, gateway="animatic") for _ in range(9)]
        result = await scene.run("jobs")
        button = next_button(result.response)
        bot = GallopBot()
        await scene.on.add_cogs(bot)
        await scene.on.env.restart_bot(bot)

        turned = await scene.boss.click(result.response, custom_id=button)
        second = shown(turned)
        scene.on.clock.turn(15 * 60 + 1)
        late = await scene.boss.click(turned.response, custom_id=f"{button[:-1]}0")

        assert jobs[0].job_id in second
        assert jobs[8].job_id not in second
        assert late.followups[0].content == (
            "This card is older than 15 minutes. Nothing was changed.\nOpen it again with its command."
        )


def next_button(message: Any) -> str:
    found = []

    def walk(components: list[dict[str, Any]]) -> None:
        for part in components:
            found.extend([part["custom_id"]] if part.get("label") == "Next" else [])
            walk(part.get("components", []))

    walk(message.components)
    return found[0]


async def test_a_private_job_shows_no_message(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await opened(scene.on, private=True)
        await scene.on.store.card_posted(job.job_id, card=MessageRef(5, 6), face=job.face)

        answer = await scene.say("jobs")

        assert "· private\n" in answer
        assert "discord.com" not in answer


async def test_a_video_that_went_to_direct_messages_is_not_linked(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await stored(scene.on, await opened(scene.on))
        await scene.on.store.delivered(job.job_id, message=MessageRef(4_711, 77), now=scene.on.clock.now())

        assert "discord.com" not in await scene.say("jobs")


async def test_a_job_in_line_is_released(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await opened(scene.on)

        answer = await scene.say("release", job=job.job_id)

        assert answer == (
            f"The job of <@{scene.on.member.id}> is out of the line and will not be made. $0.645 released.\n"
            f"Its card says so (`{job.job_id}`)."
        )
        assert (await scene.now(job)).state is JobState.FAILED


@pytest.mark.parametrize(
    ("walk", "says"),
    [
        (
            running,
            "A gateway has this job already; it cannot be stopped. Nothing was changed.\n"
            "It is charged only if the video arrives.",
        ),
        (
            lambda on, _: unconfirmed(on),
            "No gateway has confirmed this job, so it may be under way. Nothing was changed.\n"
            "Its hold stays until that is known; the operator can close it as lost.",
        ),
        (stored, "This job has ended; nothing of it is on hold. Nothing was changed."),
    ],
    ids=["running", "unconfirmed", "ended"],
)
async def test_what_left_the_line_is_not_released(tmp_path: Path, walk: Any, says: str) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await walk(scene.on, await opened(scene.on))

        assert await scene.say("release", job=job.job_id) == says
        assert (await scene.now(job)).state is job.state


@pytest.mark.parametrize(("is_operator", "says"), [(False, " The operator's limit still counts it."), (True, "")])
async def test_a_charge_is_refunded_and_the_person_sees_it(tmp_path: Path, is_operator: bool, says: str) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await scene.posted()
        if is_operator:
            scene.on.operator_ids.add(scene.boss.id)

        answer = await scene.say("refund", job=job.job_id, reason="It shows the wrong boat")

        assert answer == (
            f"$0.645 refunded to <@{scene.on.member.id}> (`{job.job_id}`).{says}\nTheir `/video history` shows it."
        )
        assert "· $0.645 refunded ·" in await scene.on.say("history")


async def test_a_part_of_a_charge_is_refunded_once(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await scene.posted()

        first = await scene.say("refund", job=job.job_id, amount="$0.045", reason="late")
        second = await scene.say("refund", job=job.job_id, amount="0.10", reason="late")

        assert first.startswith("$0.045 of $0.645 refunded to ")
        assert second == "$0.045 of this job was refunded already. Nothing was changed.\nA job is refunded once."


@pytest.mark.parametrize(
    ("amount", "says"),
    [
        ("$0,50", "“$0,50” has a comma. Nothing was changed.\nWrite $0.50."),
        ("0", "“0” is nothing. Nothing was changed.\nWrite an amount above $0.00."),
        ("1.00", "Only $0.645 was charged. Nothing was changed.\nRefund at most that."),
    ],
)
async def test_an_amount_that_cannot_be_refunded_says_why(tmp_path: Path, amount: str, says: str) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await scene.posted()

        assert await scene.say("refund", job=job.job_id, amount=amount, reason="late") == says
        assert (await scene.now(job)).refunded_microusd == 0


async def test_what_was_not_charged_is_not_refunded(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await opened(scene.on)

        assert await scene.say("refund", job=job.job_id, reason="late") == (
            "Nothing was charged for this job. Nothing was changed.\nOnly what was charged can be refunded."
        )


async def test_a_kept_video_is_delivered_again(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await scene.posted()

        answer = await scene.say("deliver", job=job.job_id)

        assert answer == (
            f"The video of <@{scene.on.member.id}> is posted again in <#{scene.on.channel.id}> (`{job.job_id}`).\n"
            "Where its message is still there, no second one comes."
        )
        assert (await scene.now(job)).delivery is Delivery.DUE


async def test_a_video_that_is_gone_is_not_delivered_again(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await scene.posted()
        scene.on.library.path(job.video.name).unlink()

        assert await scene.say("deliver", job=job.job_id) == (
            "No video of this job is kept, so there is nothing to post. Nothing was changed."
        )


@pytest.mark.parametrize(
    ("command", "more"),
    [("release", {}), ("refund", {"reason": "late"}), ("deliver", {})],
    ids=str,
)
async def test_a_job_of_another_server_is_the_same_as_none(tmp_path: Path, command: str, more: dict[str, str]) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await elsewhere(scene.on)

        answers = [await scene.say(command, job=named, **more) for named in (job.job_id, "nothing")]

        assert answers == [NO_JOB] * 2
        assert (await scene.now(job)).state is JobState.HELD


async def test_each_command_lists_the_jobs_it_can_do_something_with(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        on = scene.on
        waiting, posted = await opened(on), await scene.posted()
        refunded = await scene.posted()
        await scene.say("refund", job=refunded.job_id, reason="late")
        on.clock.turn(7_200)

        def choice(job: Job, stands: str) -> dict[str, str]:
            return {"name": f"mia · 2 h ago · {stands} · …{job.job_id[-5:]}", "value": job.job_id}

        assert named(await scene.choices("release")) == [choice(waiting, "in line · $0.645 on hold")]
        assert named(await scene.choices("refund")) == [choice(posted, "posted · $0.645 charged")]
        assert [each["value"] for each in await scene.choices("deliver")] == [refunded.job_id, posted.job_id]
        assert len(await scene.choices("deliver", "MIA")) == 2
        assert await scene.choices("deliver", "otto") == []


def named(choices: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{"name": each["name"], "value": each["value"]} for each in choices]


async def test_a_member_who_left_is_still_listed(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await opened(scene.on)
        scene.on.guild.remove_member(scene.on.member)

        [choice] = await scene.choices("release")

        assert choice["name"].startswith(f"member {job.user_id} · ")


@pytest.mark.parametrize("command", ["jobs", "release", "refund", "deliver"])
async def test_in_a_direct_message_there_is_no_server(tmp_path: Path, command: str) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await opened(scene.on)
        options = {"jobs": {}, "refund": {"job": job.job_id, "reason": "late"}}.get(command, {"job": job.job_id})
        user = scene.on.env.create_user("ada")

        result = await user.slash(f"video-admin {command}", **options)

        assert shown(result) == NO_GUILD


async def test_a_person_without_the_permission_is_not_shown_the_commands(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        assert "video-admin jobs" not in scene.on.member.available_commands(scene.on.channel)
        assert "video-admin jobs" in scene.boss.available_commands(scene.on.channel)
