"""`/video-admin unconfirmed`: what operators see and can decide, and that nobody else learns a word."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.adapters.discord.client import GallopBot
from bot.domain.errors import GatewayUnavailable, StoreFailed
from bot.domain.job import Job, JobState
from bot.presentation.unconfirmed import NONE_LEFT
from tests.cogs.stage import Stage, shown, stage, texts
from tests.cogs.walks import opened, running, unconfirmed

NO = "Only the bot's operators may do this. Nothing was changed."
NOT_ANY_MORE = "This job is not unconfirmed, or not any more. Nothing was changed."
WHAT = "Their gateway may have taken these jobs, or not. Their price stays on hold; nothing is bought twice."


@dataclass
class Scene:
    """The stage, and an operator beside the member whose jobs they are."""

    on: Stage
    boss: Any

    async def listed(self, who: Any = None) -> Any:
        return await (who or self.boss).slash(self.on.channel, "video-admin unconfirmed")

    async def press(self, message: Any, does: str, job: Job | None = None, page: int = 0, who: Any = None) -> Any:
        end = f":{job.job_id}" if job else ""
        return await (who or self.boss).click(message, custom_id=f"gallop:unconfirmed:{does}:{page}{end}")

    async def state(self, job: Job) -> JobState:
        now = await self.on.store.job(job.job_id)
        assert now is not None
        return now.state


@asynccontextmanager
async def admin_scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with stage(tmp_path, jobs_run=False) as on:
        role = on.guild.create_role("boss", permissions=discord.Permissions(manage_guild=True))
        boss = on.guild.add_member(on.env.create_user("otto"), roles=[role])
        on.operator_ids.add(boss.id)
        yield Scene(on, boss)


def stamps(moment: datetime) -> str:
    return f"<t:{int(moment.timestamp())}:R>"


def date(moment: datetime) -> str:
    return f"<t:{int(moment.timestamp())}:f> ({stamps(moment)})"


def buttons(message: Any) -> list[tuple[str, bool]]:
    found = []

    def walk(components: list[dict[str, Any]]) -> None:
        for part in components:
            if part["type"] == 2:
                found.append((part["label"], part.get("disabled", False)))
            walk(part.get("components", []))

    walk(message.components)
    return found


async def test_without_an_unconfirmed_job_the_list_says_so(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        await opened(scene.on)

        result = await scene.listed()

        assert result.ephemeral
        assert shown(result) == NONE_LEFT == "Every submission is confirmed."


async def test_a_job_is_listed_with_everything_that_is_known_of_it(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on, "A *paper* boat")
        sent_at = job.submitted_at
        asked_until = sent_at + timedelta(hours=20)

        result = await scene.listed()

        assert result.ephemeral
        assert shown(result).split("\n") == [
            "**1 unconfirmed job**",
            WHAT,
            "**A \\*paper\\* boat**",
            f"`{job.job_id}` · <@{scene.on.member.id}> · HiAPI, HappyHorse 1.1 · text · 5 s · 720p · $0.75 on hold",
            f"sent {stamps(sent_at)} · given up {date(sent_at + timedelta(days=1))} · 1 attempt",
            "No callback came.",
            f"Replays with the same key end {stamps(asked_until)}; they buy no second video.",
        ]
        assert buttons(result.response) == [("Close as lost", False), ("Bind an id", False)]


async def test_a_gateway_without_replay_is_not_said_to_be_asked_again(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        await unconfirmed(scene.on, gateway="shortapi")

        assert "asked again" not in shown(await scene.listed())


@pytest.mark.parametrize(
    ("named", "says"),
    [
        (None, "A callback came {when} and named no gateway job id."),
        ("tk-`7`", "A callback came {when} and named tk-\\`7\\`; that is read until it confirms the job."),
    ],
)
async def test_a_callback_is_listed_with_the_id_it_named(tmp_path: Path, named: str | None, says: str) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on)
        now = scene.on.clock.now()
        await scene.on.store.hint(job.job_id, number=1, gateway_job_id=named, now=now)

        assert says.format(when=stamps(now)) in shown(await scene.listed()).split("\n")


async def test_a_private_prompt_is_not_shown_to_operators(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        await unconfirmed(scene.on, "A secret boat", private=True)

        answer = shown(await scene.listed())

        assert "secret" not in answer
        assert "**private**" in answer


async def test_a_prompt_that_is_to_be_forgotten_is_not_shown(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        await unconfirmed(scene.on, "A secret boat")
        await scene.on.privacy.delete(scene.on.member.id)

        answer = shown(await scene.listed())

        assert "secret" not in answer
        assert "**forgotten**" in answer


async def test_five_jobs_stand_on_a_page_and_the_newest_first(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        for number in range(6):
            await unconfirmed(scene.on, f"Number {number}")
        result = await scene.listed()
        first = shown(result)
        first_buttons = buttons(result.response)[-2:]

        turned = await scene.press(result.response, "page", page=1)
        second = shown(turned)

        assert [line for line in first.split("\n") if "Number" in line] == [f"**Number {n}**" for n in (5, 4, 3, 2, 1)]
        assert "-# Page 1 of 2" in first
        assert first_buttons == [("Previous", True), ("Next", False)]
        assert [line for line in second.split("\n") if "Number" in line] == ["**Number 0**"]
        assert buttons(turned.response)[-2:] == [("Previous", False), ("Next", True)]


async def test_closing_asks_first_and_keep_it_leads_back(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on)
        result = await scene.listed()

        asked = await scene.press(result.response, "ask", job)
        question = shown(asked).split("\n")
        asked_buttons = buttons(asked.response)
        back = await scene.press(asked.response, "page")

        assert question[0] == "**Close this job as lost?**"
        assert question[-2:] == [
            "This releases $0.75 and books it as your loss. It cannot be undone.",
            "Should the video still arrive, it is posted free.",
        ]
        assert asked_buttons == [("Close as lost", False), ("Keep it", False)]
        assert "**1 unconfirmed job**" in shown(back)
        assert await scene.state(job) is JobState.UNCONFIRMED


async def test_closing_releases_the_hold_and_books_the_loss(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on)
        asked = await scene.press((await scene.listed()).response, "ask", job)

        closed = await scene.press(asked.response, "close", job)

        assert shown(closed) == (
            f"`{job.job_id}` is closed as lost: $0.75 released, $0.75 booked as your loss.\n{NONE_LEFT}"
        )
        assert await scene.state(job) is JobState.LOST
        [book] = await scene.on.store.books()
        assert (book.released_microusd, book.settled_microusd, book.billed_microusd) == (750_000, 0, 750_000)


async def test_a_job_that_was_confirmed_meanwhile_is_not_closed(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on)
        asked = await scene.press((await scene.listed()).response, "ask", job)
        await bound(scene, job)

        closed = await scene.press(asked.response, "close", job)

        assert shown(closed) == f"{NOT_ANY_MORE}\n{NONE_LEFT}"
        assert await scene.state(job) is JobState.RUNNING


async def bound(scene: Scene, job: Job, typed: str = "tk-7", who: Any = None) -> Any:
    form = await scene.press((await scene.listed()).response, "bind", job)
    return await (who or scene.boss).submit_modal(form, {"gateway_job_id": typed})


async def test_the_form_asks_for_one_id_of_at_most_200_characters(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on)

        form = (await scene.press((await scene.listed()).response, "bind", job)).modal

        [row] = form["components"]
        assert form["title"] == f"Bind job …{job.job_id[-5:]} to a HiAPI id"
        assert (row["label"], row["component"]["max_length"]) == ("Gateway job id", 200)
        assert row["component"]["required"] is not False


async def test_a_bound_job_is_watched_from_then_on(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on)

        answer = await bound(scene, job, " tk-7 ")

        assert shown(answer) == f"`{job.job_id}` is tk-7 at HiAPI: it is rendering now, $0.75 on hold.\n{NONE_LEFT}"
        now = await scene.on.store.job(job.job_id)
        assert (now.state, now.attempt.gateway_job_id) == (JobState.RUNNING, "tk-7")
        assert scene.on.gateways["hiapi"].reads["tk-7"] == 1


async def test_an_id_the_gateway_does_not_know_is_refused(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on)
        scene.on.gateways["hiapi"].read_script.append(GatewayUnavailable("hiapi", "404"))

        answer = shown(await bound(scene, job))

        assert answer.split("\n")[:2] == [
            "HiAPI shows no job of that id, or cannot be asked just now. Nothing was changed.",
            "Compare the id with the one HiAPI gives, and try again.",
        ]
        assert job.job_id in answer
        assert await scene.state(job) is JobState.UNCONFIRMED


async def test_an_id_of_another_job_is_refused(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        other = await running(scene.on, await opened(scene.on, gateway="hiapi"))
        job = await unconfirmed(scene.on)

        answer = shown(await bound(scene, job, other.attempt.gateway_job_id))

        assert answer.split("\n")[0] == "HiAPI gave that id to another job here. Nothing was changed."
        assert await scene.state(job) is JobState.UNCONFIRMED


async def test_buttons_of_a_job_that_is_unconfirmed_no_more_say_so(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on)
        stale = [await scene.listed() for _ in range(2)]
        await scene.on.operating.close_as_lost(job.job_id, actor_id=scene.boss.id)

        asked = await scene.press(stale[0].response, "ask", job)
        form = await scene.press(stale[1].response, "bind", job)

        assert shown(asked) == f"{NOT_ANY_MORE}\n{NONE_LEFT}"
        assert form.modal is None
        assert (shown(form), form.ephemeral) == (NOT_ANY_MORE, True)


async def test_somebody_who_manages_the_guild_but_is_no_operator_learns_nothing(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on)
        result = await scene.listed()
        form = await scene.press(result.response, "bind", job)
        scene.on.operator_ids.clear()

        said = [
            shown(await scene.listed()),
            (await scene.press(result.response, "ask", job)).followups[0].content,
            shown(await scene.press(result.response, "bind", job)),
            (await scene.boss.submit_modal(form, {"gateway_job_id": "tk-7"})).followups[0].content,
        ]

        assert said == [NO] * 4
        assert await scene.state(job) is JobState.UNCONFIRMED
        assert scene.on.gateways["hiapi"].reads == {}


async def test_closing_is_checked_against_who_presses(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on)
        asked = await scene.press((await scene.listed()).response, "ask", job)
        scene.on.operator_ids.clear()

        refused = await scene.press(asked.response, "close", job)

        assert refused.followups[0].content == NO
        assert await scene.state(job) is JobState.UNCONFIRMED


async def test_an_operator_who_manages_no_guild_uses_it_in_direct_messages(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on)
        user = scene.on.env.create_user("ada")
        scene.on.operator_ids.add(user.id)

        result = await user.slash("video-admin unconfirmed")

        assert job.job_id in shown(result)


async def test_buttons_and_form_of_before_a_restart_still_work(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        first, second = await unconfirmed(scene.on), await unconfirmed(scene.on)
        result = await scene.listed()
        form = await scene.press(result.response, "bind", first)
        bot = GallopBot()
        await scene.on.add_cogs(bot)
        await scene.on.env.restart_bot(bot)

        answer = shown(await scene.boss.submit_modal(form, {"gateway_job_id": "tk-7"}))
        asked = await scene.press(result.response, "ask", second)

        assert f"`{first.job_id}` is tk-7 at HiAPI" in answer
        assert "**Close this job as lost?**" in "\n".join(texts(asked.response.components))
        assert bot._connection._view_store._modals == {}


async def test_no_form_is_kept_in_memory(tmp_path: Path) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on)

        await scene.press((await scene.listed()).response, "bind", job)

        assert scene.on.bot._connection._view_store._modals == {}


@pytest.mark.parametrize("error", [StoreFailed(), ZeroDivisionError()], ids=["database", "bug"])
async def test_what_goes_wrong_behind_a_button_is_said_and_the_card_stays(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with admin_scene(tmp_path) as scene:
        job = await unconfirmed(scene.on)
        asked = await scene.press((await scene.listed()).response, "ask", job)

        async def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(scene.on.operating, "close_as_lost", fail)
        result = await scene.press(asked.response, "close", job)

        assert result.followups[0].content.startswith(
            "The bot could not use its database."
            if isinstance(error, StoreFailed)
            else "Something went wrong in the bot"
        )
        assert "**Close this job as lost?**" in shown(result)
