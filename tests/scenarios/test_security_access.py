"""Other people's jobs and other guilds' data: every way to ask for them gets the answer of asking for nothing.

One app plays for the whole file: mia's jobs, one in every kind of state, and the people who are not mia.
"""

import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from bot.domain.job import Job, JobBook, JobState
from bot.sandbox import samples
from bot.sandbox.discord import Channel, Interaction, Message, User
from bot.sandbox.discord.components import ACTION_ROW, BUTTON
from bot.sandbox.discord.interaction import COMPONENT, MODAL_SUBMIT
from bot.sandbox.discord.wire_interactions import interaction_json
from bot.sandbox.gateways.faults import JobFault, SubmitFault
from tests.scenarios.theatre import Theatre, theatre

pytestmark = [pytest.mark.wire, pytest.mark.asyncio(loop_scope="module")]

NOBODYS = "0" * 16
NO_SUCH_JOB = "You have no such job. Nothing was changed.\n`/video history` lists yours."
PROMPT = "A paper boat that is nobody else's business"


@dataclass
class Scene:
    """Who is there. `mias` are her jobs by their state; `cards` are messages of the bot that the strangers see."""

    t: Theatre
    mias: dict[str, Job]
    strangers: dict[str, tuple[User, Channel]]
    cards: dict[str, Message]

    async def said(self, stranger: str, path: str, **options: Any) -> str:
        user, channel = self.strangers[stranger]
        interaction = await self.t.command(path, options, user=user, channel=channel)
        return (await interaction.answer()).text

    def forge(self, stranger: str, custom_id: str, kind: int = COMPONENT, **data: Any) -> Interaction:
        """Send an interaction of this person's with a button that no message of the bot has."""
        user, channel = self.strangers[stranger]
        opened, card = self.t.discord._interactions.open, self.cards[stranger]
        made = pressed = opened(COMPONENT, user, channel, name=custom_id, source=card)
        if kind == MODAL_SUBMIT:
            made = opened(kind, user, channel, name=custom_id, source=card, trigger=pressed)
        sent = interaction_json(made, {"custom_id": custom_id, "component_type": BUTTON, "id": 2, **data})
        button = {"type": BUTTON, "id": 2, "style": 2, "label": "Forged", "custom_id": custom_id}
        sent["message"]["components"] = [{"type": ACTION_ROW, "id": 1, "components": [button]}]
        self.t.discord.gateway.dispatch_interaction(sent, channel.guild)
        return made

    async def forged_said(self, stranger: str, custom_id: str, kind: int = COMPONENT, **data: Any) -> str:
        """Return the words of the private answer to a forged interaction."""
        made = self.forge(stranger, custom_id, kind, **data)
        acknowledged = await made.acknowledged()
        message = await (made.followup() if acknowledged.type == 6 else made.answer())
        assert message.ephemeral
        return message.text

    async def books(self) -> list[JobBook]:
        return sorted(await self.t.app.store.books(), key=lambda book: book.job_id)


async def finished(t: Theatre, user: User, channel: Channel, **options: Any) -> tuple[Job, Message]:
    """Make a video; return its job and card."""
    interaction = await t.command(
        "video text", {"prompt": "Mine", "duration": 3, **options}, user=user, channel=channel
    )
    await interaction.answer()
    job = await t.job_of(interaction)
    video = await channel.wait_message(lambda m: any(job.job_id in media.filename for media in m.media), 20)
    assert video.reference is not None
    await channel.wait_message(lambda m: m is video.reference and "discord.com/channels" in m.text)
    return await t.job_of(interaction), video.reference


async def mias_jobs(t: Theatre) -> dict[str, Job]:
    """Bring mia one job in each state that lasts."""
    shortapi, jobs = t.gateways.shortapi, {}
    jobs["stored"] = (await finished(t, t.member, t.channel, prompt=PROMPT, gateway="shortapi"))[0]
    jobs["private"] = (await finished(t, t.member, t.member.dm, prompt=PROMPT, gateway="animatic", private=True))[0]
    shortapi.faults.submit.append(SubmitFault.ACCEPT_THEN_DROP)
    interaction = await t.command("video text", {"prompt": PROMPT, "gateway": "shortapi", "duration": 3})
    await t.card("has not confirmed")
    jobs["unconfirmed"] = await t.job_of(interaction)
    shortapi.faults.job.append(JobFault.NEVER_FINISHES)
    interaction = await t.command("video text", {"prompt": PROMPT, "gateway": "shortapi", "duration": 3})
    await t.card("● rendering")
    jobs["running"] = await t.job_of(interaction)
    options = {"prompt": f"[Image 1] {PROMPT}", "gateway": "shortapi", "duration": 3}
    interaction = await t.command("video reference", options, pictures={"image1": samples.transparent_png()})
    await t.card("in line (1st)")
    jobs["in line"] = await t.job_of(interaction)
    return jobs


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with theatre(tmp_path_factory.mktemp("theatre"), jobs_per_user="1") as t:
        bob, manager, eve = (t.discord.add_user(name) for name in ("bob", "max", "eve"))
        elsewhere = t.discord.add_guild("Elsewhere", owner=eve)
        strangers = {
            "a member": (bob, t.channel),
            "a manager": (manager, t.channel),
            "another guild's owner": (eve, elsewhere.add_channel("general")),
            "by direct message": (eve, eve.dm),
        }
        t.guild.add_member(bob)
        t.guild.add_member(manager, manager=True)
        cards = {}
        for name, (user, channel) in strangers.items():
            cards[name] = (await finished(t, user, channel, gateway="animatic"))[1]
        yield Scene(t, await mias_jobs(t), strangers, cards)


@pytest.fixture(autouse=True)
def _nothing_breaks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


STRANGERS = ["a member", "a manager", "another guild's owner", "by direct message"]
KINDS = ["stored", "private", "unconfirmed", "running", "in line"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("command", ["status", "cancel", "show"])
async def test_an_id_of_somebody_elses_job_is_an_id_of_nothing(
    scene: Scene, command: str, stranger: str, kind: str
) -> None:
    before = await scene.books()

    theirs = await scene.said(stranger, f"video {command}", job=scene.mias[kind].job_id)
    none = await scene.said(stranger, f"video {command}", job=NOBODYS)

    assert theirs == none == NO_SUCH_JOB
    assert await scene.books() == before


MALFORMED = [
    " ",
    "x",
    "0" * 15,
    "0" * 17,
    "0" * 6_000,
    "' OR '1'='1",
    "'; DROP TABLE jobs; --",
    "%",
    "_" * 16,
    "*",
    "../../gallop.db",
    "..%2F..%2Fgallop",
    "\x00" * 16,
    "0000000000000000\x00",
    "0000000000000000\n",
    "\u202e0000000000000000",
    "０" * 16,
    "null",
    "-1",
    "{}",
    "https://discord.com/channels/1/2/3",
    "@everyone",
]


@pytest.mark.parametrize("typed", MALFORMED, ids=range(len(MALFORMED)))
@pytest.mark.parametrize("command", ["status", "cancel", "show"])
async def test_what_is_no_id_is_an_id_of_nothing(scene: Scene, command: str, typed: str) -> None:
    assert await scene.said("a member", f"video {command}", job=typed) == NO_SUCH_JOB


async def test_mia_herself_reaches_her_jobs(scene: Scene) -> None:
    """Else the answers above would prove nothing."""
    for job in scene.mias.values():
        assert PROMPT in await scene.t.said("video status", {"job": job.job_id})


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_only_ones_own_jobs_are_offered_listed_and_handed_out(scene: Scene, stranger: str) -> None:
    user, channel = scene.strangers[stranger]
    for command in ("status", "cancel", "show"):
        for typed in ("", PROMPT, *(job.job_id for job in scene.mias.values())):
            offered = await scene.t.discord.autocomplete(user, channel, f"video {command}", "job", {"job": typed})
            assert [choice for choice in offered if choice["value"] in {j.job_id for j in scene.mias.values()}] == []
            assert PROMPT not in str(offered)
    for command in ("history", "status", "quota", "privacy export"):
        interaction = await scene.t.command(f"video {command}", user=user, channel=channel)
        answer = await interaction.answer()
        told = [answer.text, *(stored.data.decode("latin-1") for stored in answer.files)]
        assert not [word for word in (PROMPT, *(j.job_id for j in scene.mias.values())) if word in "".join(told)]


async def test_somebody_elses_cancel_button_is_a_button_of_nothing(scene: Scene) -> None:
    card = await scene.t.card("in line (1st)")
    user, _ = scene.strangers["a member"]

    pressed = await (await scene.t.discord.press(user, card, "Cancel")).answer()
    nothing = await scene.forged_said("a member", f"gallop:cancel:{NOBODYS}")

    assert pressed.ephemeral
    assert pressed.text == nothing == NO_SUCH_JOB
    assert (await scene.t.app.store.job(scene.mias["in line"].job_id)).state is JobState.HELD


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_forged_cancel_button_is_a_button_of_nothing(scene: Scene, stranger: str, kind: str) -> None:
    before = await scene.books()

    assert await scene.forged_said(stranger, f"gallop:cancel:{scene.mias[kind].job_id}") == NO_SUCH_JOB
    assert await scene.books() == before


UNHEARD_OF = [
    "gallop:cancel:",
    "gallop:cancel:0",
    f"gallop:cancel:{'0' * 15}",
    f"gallop:cancel:{'0' * 17}",
    f"gallop:cancel:{'0' * 86}",
    f"gallop:cancel:{'A' * 16}",
    f"gallop:cancel:{'0' * 15}\n",
    f"gallop:cancel:{NOBODYS}\n",
    f"gallop:cancel:{'０' * 16}",
    f"Gallop:Cancel:{NOBODYS}",
    f" gallop:cancel:{NOBODYS}",
    f"gallop:refund:{NOBODYS}",
    "gallop:delete-my-data:",
    "gallop:delete-my-data:mia",
    "gallop:delete-my-data:-1",
    f"gallop:delete-my-data:{'9' * 21}",
    "gallop:unconfirmed:close:0:",
    "gallop:unconfirmed:close:99999",
    f"gallop:unconfirmed:drop:0:{NOBODYS}",
    f"gallop:bind:99999:{NOBODYS}",
    "",
    "\x00",
    "'; DROP TABLE jobs; --",
]


@pytest.mark.parametrize("stranger", ["a member", "by direct message"])
async def test_a_button_that_the_bot_never_made_is_not_answered(scene: Scene, stranger: str) -> None:
    before = await scene.books()

    forged = [scene.forge(stranger, custom_id) for custom_id in UNHEARD_OF]
    # Events come in order: when this one is answered, those before it were looked at.
    assert await scene.forged_said(stranger, f"gallop:cancel:{NOBODYS}") == NO_SUCH_JOB

    assert [made.name for made in forged if made.acknowledgement is not None] == []
    assert await scene.books() == before


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_button_that_deletes_somebody_elses_data_deletes_nothing(scene: Scene, stranger: str) -> None:
    before = await scene.books()

    mias = await scene.forged_said(stranger, f"gallop:delete-my-data:{scene.t.member.id}")
    nobodys = [await scene.forged_said(stranger, f"gallop:delete-my-data:{number}") for number in ("0", "9" * 20)]

    assert [mias] * 2 == nobodys
    assert mias == "Only the person who asked for this may press it. Nothing was deleted."
    assert await scene.books() == before
    assert PROMPT in await scene.t.said("video status", {"job": scene.mias["stored"].job_id})


NOT_AN_OPERATOR = "Only the bot's operators may do this. Nothing was changed."


async def test_a_guilds_manager_is_no_operator(scene: Scene) -> None:
    assert await scene.said("a manager", "video-admin unconfirmed") == NOT_AN_OPERATOR
    assert await scene.said("another guild's owner", "video-admin unconfirmed") == NOT_AN_OPERATOR
    assert await scene.said("by direct message", "video-admin unconfirmed") == NOT_AN_OPERATOR


async def test_the_operator_sees_the_unconfirmed_job(scene: Scene) -> None:
    """Else the refusals would prove nothing."""
    answer = await scene.t.command("video-admin unconfirmed", user=scene.t.discord.owner)

    assert scene.mias["unconfirmed"].job_id in (await answer.answer()).text


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("does", ["page", "ask", "close", "bind"])
async def test_a_forged_button_of_the_operators_list_tells_and_does_nothing(
    scene: Scene, does: str, stranger: str
) -> None:
    before = await scene.books()
    ends = [f":{job_id}" for job_id in (scene.mias["unconfirmed"].job_id, scene.mias["running"].job_id, NOBODYS)]

    said = {await scene.forged_said(stranger, f"gallop:unconfirmed:{does}:0{end}") for end in ["", *ends]}

    assert said == {NOT_AN_OPERATOR}
    assert await scene.books() == before


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_forged_form_of_the_operators_binds_nothing(scene: Scene, stranger: str) -> None:
    before = await scene.books()
    running = scene.mias["running"].attempt
    assert running is not None
    field = {"type": 4, "custom_id": "gallop_job_id", "id": 2, "value": running.gateway_job_id}
    rows = [{"type": 1, "id": 1, "components": [{**field, "custom_id": "gateway_job_id"}]}]

    said = {
        await scene.forged_said(stranger, f"gallop:bind:0:{job_id}", MODAL_SUBMIT, components=rows)
        for job_id in (scene.mias["unconfirmed"].job_id, NOBODYS)
    }

    assert said == {NOT_AN_OPERATOR}
    assert await scene.books() == before
