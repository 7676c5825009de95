"""What the stories about Discord's faults share: a person who asks, moments to stop at, and what came of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import discord
import pytest
from discord.gateway import DiscordWebSocket

from bot.adapters.discord.client import GallopBot
from bot.domain.job import Delivery, Job, JobState
from bot.sandbox.discord import Channel, Fault, Guild, Interaction, Message, User
from bot.sandbox.gateways.faults import JobFault, SubmitFault
from tests.scenarios.theatre import Theatre, rendered_once, theatre

PRICE_MICROUSD = 387_000


class Outcome(NamedTuple):
    """What a job came to: videos to be seen anywhere in the sandbox, paid POSTs, the job, and its ledger."""

    videos: int
    submissions: int
    state: JobState
    delivery: Delivery
    settled_microusd: int
    released_microusd: int


POSTED = Outcome(1, 1, JobState.STORED, Delivery.POSTED, PRICE_MICROUSD, 0)
KEPT = Outcome(0, 1, JobState.STORED, Delivery.GIVEN_UP, PRICE_MICROUSD, 0)
FAILED = Outcome(0, 1, JobState.FAILED, Delivery.NONE, 0, PRICE_MICROUSD)
NEVER_STARTED = Outcome(0, 0, JobState.FAILED, Delivery.NONE, 0, PRICE_MICROUSD)


@dataclass
class Story:
    """One person who asks for one video in a channel; nobody else's requests fit its patterns."""

    play: "Play"
    member: User
    guild: Guild
    channel: Channel
    prompt: str

    def in_thread(self, *, private: bool = False) -> Self:
        """Move the story into a thread of its channel."""
        self.channel = self.channel.add_thread(self.channel.name, private=private)
        return self

    def posts(self, channel: Channel | None = None) -> str:
        return rf"POST .*/channels/{(channel or self.channel).id}/messages$"

    def edits(self, channel: Channel | None = None) -> str:
        return rf"PATCH .*/channels/{(channel or self.channel).id}/messages/\d+$"

    def reads(self) -> str:
        return rf"GET .*/channels/{self.channel.id}/messages$"

    async def ask(self, **options: Any) -> Interaction:
        asked = {"prompt": self.prompt, "gateway": "shortapi", "duration": 3, **options}
        pictures = {name: asked.pop(name) for name in ("image1",) if name in asked}
        path = "video reference" if pictures else "video text"
        return await self.play.theatre.command(path, asked, user=self.member, channel=self.channel, pictures=pictures)

    async def in_line(self, **options: Any) -> Fault:
        """Ask, and return while the job is in line: Discord has its card, and the bot waits for the answer."""
        card = self.play.faults.hold_answer(self.posts())
        await self.ask(**options)
        await card.reached.wait()
        return card

    async def rendering(self, *, fails: bool = False, **options: Any) -> Interaction:
        """Ask, and return while the paid POST is under way; `Play.go_on` lets the gateway take it, and maybe fail."""
        gateway = self.play.theatre.gateways.shortapi
        gateway.hanging.clear()
        gateway.released.clear()
        gateway.faults.submit.append(SubmitFault.STALL_THEN_ACCEPT)
        gateway.faults.job.extend([JobFault.FAILS_CONTENT] * fails)
        interaction = await self.ask(**options)
        await gateway.hanging.wait()
        return interaction

    async def jobs(self) -> list[Job]:
        return await self.play.theatre.app.store.jobs_of(self.member.id, limit=2)

    async def job(self) -> Job:
        (job,) = await self.jobs()
        return job

    async def ended(self, timeout_s: float = 30.0) -> Outcome:
        """Wait until the bot has nothing left to do for the job, and count what it came to."""
        async with asyncio.timeout(timeout_s):
            job = await self.until(lambda job: job.next_at is None)
        (book,) = [book for book in await self.play.theatre.app.store.books() if book.job_id == job.job_id]
        assert book.held_microusd == PRICE_MICROUSD
        bodies = [received.body for received in self.play.theatre.gateways.shortapi.submissions]
        return Outcome(
            videos=len(self.videos(job)),
            submissions=len([body for body in bodies if self.prompt.encode() in body]),
            state=job.state,
            delivery=job.delivery,
            settled_microusd=book.settled_microusd,
            released_microusd=book.released_microusd,
        )

    async def until(self, is_so: Callable[[Job], bool]) -> Job:
        """Wait until a step of the runner has made it so."""
        while True:
            step = self.play.next_step
            jobs = await self.jobs()
            if jobs and is_so(jobs[0]):
                return await self.job()
            await step.wait()

    def said(self, *channels: Channel) -> list[Message]:
        """Return what the bot said of the job that can still be read, in these places or anywhere, oldest first."""
        everywhere = self.play.theatre.discord.world.channels.values()
        said = [m for place in channels or everywhere for m in place.messages if self.prompt in m.text]
        return sorted(said, key=lambda message: message.id)

    def videos(self, job: Job) -> list[Message]:
        everywhere = self.play.theatre.discord.world.channels.values()
        messages = [message for place in everywhere for message in place.messages]
        return [m for m in messages if f"{job.job_id}.mp4" in {media.filename for media in m.media}]

    async def handed_out(self, channel: Channel | None = None) -> bool:
        """Say whether `/video show` gives the person the video."""
        theatre, job = self.play.theatre, await self.job()
        show = theatre.command("video show", {"job": job.job_id}, user=self.member, channel=channel or self.channel)
        shown = await (await show).answer()
        files = [media for media in shown.media if media.filename == f"{job.job_id}.mp4"]
        return shown.ephemeral and len(files) == 1 and (await theatre.discord.download(files[0].url))[4:8] == b"ftyp"


class Play:
    """A theatre in which any number of stories go on without disturbing each other."""

    def __init__(self, made: Theatre) -> None:
        self.theatre = made
        self.faults = made.discord.faults
        self.next_step = asyncio.Event()
        self._stories = 0
        self._listen()

    def story(self, *, guild: Guild | None = None, nsfw: bool = False) -> Story:
        """Begin a story in a channel of its own, with a person of its own."""
        self._stories += 1
        place, name = guild or self.theatre.guild, f"story{self._stories}"
        member = self.theatre.discord.add_user(name)
        place.add_member(member)
        return Story(self, member, place, place.add_channel(name, nsfw=nsfw), f"A paper boat sails through {name}.")

    def guild(self) -> Guild:
        return self.theatre.discord.add_guild(f"Guild {self._stories}", owner=self.theatre.discord.owner)

    @asynccontextmanager
    async def hears(self, event: str) -> AsyncIterator[None]:
        """End when the bot has heard of what happens inside."""
        heard = asyncio.ensure_future(self.theatre.app.bot.wait_for(event, timeout=10))
        await asyncio.sleep(0)
        yield
        await heard

    def go_on(self) -> None:
        self.theatre.gateways.shortapi.released.set()

    async def start(self) -> None:
        await self.theatre.start()
        self._listen()

    def _listen(self) -> None:
        """Hear of the end of each of the runner's steps: it wakes itself then."""
        runner = self.theatre.app.runner
        wake = runner.wake

        def woken() -> None:
            wake()
            self.next_step.set()
            self.next_step = asyncio.Event()

        runner.wake = woken

    def clear(self) -> None:
        """End every fault, so that the next story begins with a healthy Discord."""
        self.go_on()
        self.faults.clear()


@asynccontextmanager
async def playing(folder: Path, **settings: Any) -> AsyncIterator[Play]:
    # The one video of all stories, made once before several of them ask for it together.
    await rendered_once(prompt="", pictures=(), width=1280, height=720, duration_s=3, label="")
    with pytest.MonkeyPatch.context() as patch:
        # discord.py waits this long for more guilds before it calls itself ready; here all come at once.
        patch.setitem(GallopBot.__init__.__kwdefaults__, "guild_ready_timeout_s", 0.05)
        # Where Discord is, is set on discord.py's classes: it is put back for the play that goes on afterwards.
        patch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
        patch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
        async with theatre(folder, **settings) as made:
            play = Play(made)
            try:
                yield play
            finally:
                play.clear()
