"""The commands that spend, `/video text`, `image` and `reference`, and the `/video` group that all commands share."""

import asyncio

import discord
from discord import app_commands
from discord.ext import commands

from bot.domain.errors import PictureGapRejected
from bot.domain.personal import PersonalService
from bot.domain.ports import Library
from bot.domain.privacy import PrivacyService
from bot.domain.request import Ask, Attachment, Mode
from bot.domain.video_service import VideoService
from cogs.answers import private_answer
from cogs.help import HelpCommand
from cogs.jobs import JobCommands, cancel_button
from cogs.options import Duration, NegativePrompt, Prompt, Seed, gateway_choices, resolution_of, spending_options
from cogs.places import place_of
from cogs.privacy import PrivacyCommands, delete_button
from cogs.quota import QuotaCommand, own_form_button
from cogs.quotes import QuoteCards, quota_button, quote_button


class SpendingCommands(QuoteCards):
    """`/video text`, `image` and `reference`: options in, then what `answer_ask` makes of them."""

    _service: VideoService

    @app_commands.command(description="Make a video from words alone.")
    @spending_options(Mode.TEXT)
    async def text(
        self,
        interaction: discord.Interaction,
        *,
        prompt: Prompt,
        resolution: str | None = None,
        ratio: str | None = None,
        duration: Duration | None = None,
        gateway: str | None = None,
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
        resolution: str | None = None,
        ratio: str | None = None,
        duration: Duration | None = None,
        gateway: str | None = None,
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
        resolution: str | None = None,
        ratio: str | None = None,
        duration: Duration | None = None,
        gateway: str | None = None,
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
        return await gateway_choices(self._service, interaction, Mode.TEXT, typed)

    @image.autocomplete("gateway")
    async def _image_gateways(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return await gateway_choices(self._service, interaction, Mode.IMAGE, typed)

    @reference.autocomplete("gateway")
    async def _reference_gateways(self, interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return await gateway_choices(self._service, interaction, Mode.REFERENCE, typed)

    async def _make(
        self,
        interaction: discord.Interaction,
        mode: Mode,
        prompt: str,
        *,
        resolution: str | None,
        ratio: str | None,
        duration: int | None,
        gateway: str | None,
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
                resolution=None if resolution is None else resolution_of(resolution),
                ratio=ratio,
                duration_s=duration,
                gateway=gateway,
                seed=seed,
                negative_prompt=negative_prompt,
                private=private,
            )
            await self.answer_ask(interaction, answer, ask)


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
        personal: PersonalService,
        library: Library,
    ) -> None:
        self._client = client
        self._service = service
        self._privacy = privacy
        self._personal = personal
        self._library = library
        self._exporting = set()
        self._waiting = set()
        self._packing = asyncio.Semaphore(1)
        self._buttons = (
            cancel_button(service),
            delete_button(privacy),
            own_form_button(self),
            quote_button(self),
            quota_button(self),
        )

    async def cog_load(self) -> None:
        self._client.add_dynamic_items(*self._buttons)

    async def cog_unload(self) -> None:
        self._client.remove_dynamic_items(*self._buttons)
        await self.end_quotes()


def _attachments(pictures: tuple[discord.Attachment | None, ...]) -> tuple[Attachment, ...]:
    """Return the given pictures in order.

    Raises:
        PictureGapRejected: one is missing before the last.
    """
    given = [number for number, picture in enumerate(pictures, start=1) if picture is not None]
    if given and len(given) < given[-1]:
        raise PictureGapRejected(next(n for n in range(1, given[-1]) if n not in given))
    return tuple(Attachment(p.url, p.filename, p.size) for p in pictures if p is not None)
