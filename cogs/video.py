"""The commands that spend, `/video text`, `image` and `reference`, and the `/video` group that all commands share."""

import asyncio
import logging

import discord
from discord import app_commands
from discord.ext import commands

from bot.domain.errors import PictureGapRejected, StoreFailed
from bot.domain.ports import Library
from bot.domain.privacy import PrivacyService
from bot.domain.request import DURATION_DEFAULT_S, GATEWAY_AUTO, Ask, Attachment, Mode, Resolution
from bot.domain.video_service import Opened, VideoService
from bot.presentation.private_answers import ended_text, opened_text
from cogs.answers import PrivateAnswer, private_answer
from cogs.help import HelpCommand
from cogs.jobs import JobCommands, cancel_button
from cogs.options import Duration, NegativePrompt, Prompt, Seed, gateway_choices, resolution_of, spending_options
from cogs.places import link_to, place_of
from cogs.privacy import PrivacyCommands, delete_button
from cogs.quota import QuotaCommand

log = logging.getLogger(__name__)

# A card is there within a second or two; after this the answer stands without the link to it.
_CARD_TIMEOUT_S = 20.0


class SpendingCommands(commands.Cog):
    """`/video text`, `image` and `reference`: options in, one call of the service, the private answer out."""

    _service: VideoService

    @app_commands.command(description="Make a video from words alone.")
    @spending_options(Mode.TEXT)
    async def text(
        self,
        interaction: discord.Interaction,
        *,
        prompt: Prompt,
        resolution: str = Resolution.P720.value,
        ratio: str | None = None,
        duration: Duration = DURATION_DEFAULT_S,
        gateway: str = GATEWAY_AUTO,
        private: bool = False,
    ) -> None:
        await self._make(
            interaction,
            Mode.TEXT,
            prompt,
            resolution=resolution,
            ratio=ratio,
            duration=duration,
            gateway=gateway,
            private=private,
        )

    @app_commands.command(description="Bring one picture to life; it is the first moment of the video.")
    @spending_options(Mode.IMAGE)
    async def image(
        self,
        interaction: discord.Interaction,
        *,
        image: discord.Attachment,
        prompt: Prompt,
        resolution: str = Resolution.P720.value,
        ratio: str | None = None,
        duration: Duration = DURATION_DEFAULT_S,
        gateway: str = GATEWAY_AUTO,
        private: bool = False,
    ) -> None:
        await self._make(
            interaction,
            Mode.IMAGE,
            prompt,
            pictures=(image,),
            resolution=resolution,
            ratio=ratio,
            duration=duration,
            gateway=gateway,
            private=private,
        )

    @app_commands.command(description="Make a video with the people and things of up to nine pictures.")
    @spending_options(Mode.REFERENCE)
    async def reference(
        self,
        interaction: discord.Interaction,
        *,
        prompt: Prompt,
        image1: discord.Attachment,
        image2: discord.Attachment | None = None,
        image3: discord.Attachment | None = None,
        image4: discord.Attachment | None = None,
        image5: discord.Attachment | None = None,
        image6: discord.Attachment | None = None,
        image7: discord.Attachment | None = None,
        image8: discord.Attachment | None = None,
        image9: discord.Attachment | None = None,
        resolution: str = Resolution.P720.value,
        ratio: str | None = None,
        duration: Duration = DURATION_DEFAULT_S,
        gateway: str = GATEWAY_AUTO,
        private: bool = False,
        seed: Seed | None = None,
        negative_prompt: NegativePrompt | None = None,
    ) -> None:
        await self._make(
            interaction,
            Mode.REFERENCE,
            prompt,
            pictures=(image1, image2, image3, image4, image5, image6, image7, image8, image9),
            resolution=resolution,
            ratio=ratio,
            duration=duration,
            gateway=gateway,
            private=private,
            seed=seed,
            negative_prompt=negative_prompt,
        )

    @text.autocomplete("gateway")
    async def _text_gateways(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return gateway_choices(self._service, interaction, Mode.TEXT, typed)

    @image.autocomplete("gateway")
    async def _image_gateways(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return gateway_choices(self._service, interaction, Mode.IMAGE, typed)

    @reference.autocomplete("gateway")
    async def _reference_gateways(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return gateway_choices(self._service, interaction, Mode.REFERENCE, typed)

    async def _make(
        self,
        interaction: discord.Interaction,
        mode: Mode,
        prompt: str,
        *,
        resolution: str,
        ratio: str | None,
        duration: int,
        gateway: str,
        private: bool,
        pictures: tuple[discord.Attachment | None, ...] = (),
        seed: int | None = None,
        negative_prompt: str | None = None,
    ) -> None:
        async with private_answer(interaction) as answer:
            ask = Ask(
                interaction_id=interaction.id,
                user_id=interaction.user.id,
                place=place_of(interaction),
                mode=mode,
                prompt=prompt,
                attachments=_attachments(pictures),
                resolution=resolution_of(resolution),
                ratio=ratio,
                duration_s=duration,
                gateway=gateway,
                seed=seed,
                negative_prompt=negative_prompt,
                private=private,
            )
            opened = await self._service.open(ask)
            await answer.say(opened_text(opened, None))
            await self._add_link(interaction, answer, opened)

    async def _add_link(self, interaction: discord.Interaction, answer: PrivateAnswer, opened: Opened) -> None:
        try:
            job = await self._service.card_posted(opened.view.job.job_id, timeout_s=_CARD_TIMEOUT_S)
            if job is None:
                return
            if job.card is not None:
                await answer.say(opened_text(opened, link_to(interaction.client, job.card, job)))
            else:
                await answer.say(ended_text(await self._service.job(job.job_id, user_id=job.user_id)))
        except StoreFailed:
            # The job is open and its price on hold: the answer that says so must stand.
            log.exception("card not linked job_id=%s", opened.view.job.job_id)


@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=False)
@app_commands.allowed_installs(guilds=True, users=False)
class VideoCog(
    PrivacyCommands,
    HelpCommand,
    QuotaCommand,
    JobCommands,
    SpendingCommands,
    commands.GroupCog,
    group_name="video",
    group_description="Make videos from words and pictures.",
):
    """The `/video` group. A group cannot be spread over several cogs, so this one collects their commands."""

    def __init__(
        self,
        client: commands.Bot | commands.AutoShardedBot,
        service: VideoService,
        *,
        privacy: PrivacyService,
        library: Library,
    ) -> None:
        self._client = client
        self._service = service
        self._privacy = privacy
        self._library = library
        self._exporting = set()
        self._packing = asyncio.Semaphore(1)
        self._buttons = (cancel_button(service), delete_button(privacy))

    async def cog_load(self) -> None:
        self._client.add_dynamic_items(*self._buttons)

    async def cog_unload(self) -> None:
        self._client.remove_dynamic_items(*self._buttons)


def _attachments(pictures: tuple[discord.Attachment | None, ...]) -> tuple[Attachment, ...]:
    """Return the given pictures in order.

    Raises:
        PictureGapRejected: one is missing before the last.
    """
    given = [number for number, picture in enumerate(pictures, start=1) if picture is not None]
    if given and len(given) < given[-1]:
        raise PictureGapRejected(next(n for n in range(1, given[-1]) if n not in given))
    return tuple(Attachment(p.url, p.filename, p.size) for p in pictures if p is not None)
