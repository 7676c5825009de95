"""Every bad input and its exact words, through the real commands and the real checks."""

from pathlib import Path
from typing import Any

import discord
import pytest

from bot.domain.errors import RequestRejected
from bot.domain.quota import Limits
from bot.domain.request import Ask, Attachment, Mode, Place
from bot.domain.windows import day_ends_at
from bot.presentation.replies import reply
from tests.cogs.stage import stage
from tests.fakes import START
from tests.picture_samples import bomb_png, jpeg, png, truncated_jpeg

GOOD = ("boat.jpg", jpeg())
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='800' height='600'/>"
TOMORROW = f"<t:{int(day_ends_at(START).timestamp())}:R>"
DAY_ENDS = "until <t:{0}:f> (<t:{0}:R>)".format(int(day_ends_at(START).timestamp()))

PROMPTS = [
    ("x" * 5_001, "The prompt counts 5,001 characters; the limit is 5,000. Nothing was held.\n"
     "A Chinese character counts two. Shorten it: a gateway would cut it and still bill it."),
    ("马" * 2_501, "The prompt counts 5,002 characters; the limit is 5,000. Nothing was held.\n"
     "A Chinese character counts two. Shorten it: a gateway would cut it and still bill it."),
    ("   ", "The prompt is blank. Nothing was held.\nSay what happens in the video."),
    ("\u200b\u2060\ufeff", "The prompt is blank. Nothing was held.\nSay what happens in the video."),
    ("\x00", "The prompt is blank. Nothing was held.\nSay what happens in the video."),
]  # fmt: skip


@pytest.mark.parametrize(("prompt", "words"), PROMPTS, ids=["letters", "chinese", "blank", "invisible", "nul"])
async def test_a_prompt_is_refused_with(tmp_path: Path, prompt: str, words: str) -> None:
    async with stage(tmp_path) as on:
        assert await on.say("text", prompt=prompt) == words
        assert await on.store.jobs_of(on.member.id, limit=1) == []


REFERENCES = [
    ("[Image 3] waves", "The prompt names [Image 3], but 2 pictures are attached. Nothing was held.\n"
     "Attach it, or name [Image 1] to [Image 2]."),
    ("[Image 0] waves", "The prompt names [Image 0]; pictures count from 1. Nothing was held.\n"
     "Attached: [Image 1] to [Image 2]."),
]  # fmt: skip


@pytest.mark.parametrize(("prompt", "words"), REFERENCES)
async def test_a_picture_nobody_attached_is_refused_with(tmp_path: Path, prompt: str, words: str) -> None:
    async with stage(tmp_path) as on:
        assert await on.say("reference", prompt=prompt, image1=GOOD, image2=GOOD) == words


PICTURES = [
    (("a.svg", SVG), "Picture 2 is no picture that can be used. Nothing was held.\nSend it as JPEG, PNG or WEBP."),
    (("a.png", b""), "Picture 2 is empty: 0 bytes. Nothing was held.\nAttach it again."),
    (("a.png", png(399, 800)), "Picture 2 is 399 × 800 pixels; references need 400 on the short side. "
     "Nothing was held.\nSend a larger copy."),
    (("a.png", bomb_png()), "Picture 2 has 120 megapixels; the limit is 50 megapixels. "
     "Nothing was held.\nSend a smaller copy."),
    (("a.png", bytes(26_000_000)), "Picture 2 has 26 MB; the limit is 25 MB. Nothing was held.\nSend a smaller copy."),
    (("a.jpg", truncated_jpeg()), "Picture 2 is damaged or incomplete. Nothing was held.\n"
     "Save it anew and attach it again."),
]  # fmt: skip


@pytest.mark.parametrize(("picture", "words"), PICTURES, ids=["svg", "empty", "small", "bomb", "heavy", "truncated"])
async def test_a_picture_is_refused_with(tmp_path: Path, picture: tuple[str, bytes], words: str) -> None:
    async with stage(tmp_path) as on:
        assert await on.say("reference", prompt="[Image 2] waves", image1=GOOD, image2=picture) == words
        assert await on.store.jobs_of(on.member.id, limit=1) == []


async def test_a_first_frame_of_299_pixels_is_refused_with(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        assert await on.say("image", image=("a.png", png(299, 700)), prompt="It moves", gateway="shortapi") == (
            "Picture 1 is 299 × 700 pixels; a picture to animate needs 300 on the short side. "
            "Nothing was held.\nSend a larger copy."
        )


COUNTS = [
    (0, "No picture is attached; `/video reference` takes 1 to 9. Nothing was held.\nAttach one and ask again."),
    (10, "10 pictures are attached; `/video reference` takes 1 to 9. Nothing was held."),
]


@pytest.mark.parametrize(("count", "words"), COUNTS)
async def test_a_count_of_pictures_that_no_option_allows_is_refused_with(
    tmp_path: Path, count: int, words: str
) -> None:
    async with stage(tmp_path) as on:
        ask = Ask(1, 1, Place(1, on.guild.id), Mode.REFERENCE, "x", (Attachment("a", "a.png", 1),) * count)

        with pytest.raises(RequestRejected) as refused:
            await on.service.open(ask)

        assert reply(refused.value) == words


OPTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("text", {"duration": 2}, "2 s is not possible; a video lasts 3 to 15 s. Nothing was held."),
    ("text", {"duration": 16, "gateway": "hiapi"}, "16 s is not possible; HiAPI makes 3 to 15 s. Nothing was held."),
    ("text", {"ratio": "9:21", "gateway": "ShortAPI"},
     "ShortAPI has no ratio 9:21; possible: 16:9, 9:16, 1:1, 4:3 or 3:4. Nothing was held."),
    ("text", {"resolution": "480p"}, "No gateway has the resolution 480p; possible: 720p or 1080p. Nothing was held."),
    ("text", {"resolution": "1080p", "gateway": "hiapi"},
     "HiAPI has no price for this here, and nothing is bought without one. Nothing was held.\n"
     "Choose another gateway; the operator can set the price."),
    ("text", {"gateway": "pixeldojo"},
     "PixelDojo needs reference pictures. Nothing was held.\nUse `/video reference`, or another gateway."),
    ("text", {"gateway": "sora"},
     "There is no gateway “sora”; there are auto, animatic, hiapi, pixeldojo and shortapi. Nothing was held."),
]  # fmt: skip


@pytest.mark.parametrize(("command", "options", "words"), OPTIONS)
async def test_an_option_is_refused_with(tmp_path: Path, command: str, options: dict[str, Any], words: str) -> None:
    async with stage(tmp_path) as on:
        on.loosen()

        assert await on.say(command, prompt="A paper boat", **options) == words


async def test_a_seed_is_refused_by_a_named_gateway_without_one(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        assert await on.say("reference", prompt="[Image 1]", image1=GOOD, gateway="hiapi", seed=7) == (
            "HiAPI cannot take a seed. Nothing was held.\nLeave out `seed`, or choose another gateway."
        )


async def test_a_guild_that_is_not_served_is_told_so(tmp_path: Path) -> None:
    async with stage(tmp_path, served=False) as on:
        assert await on.say("text", prompt="A paper boat", gateway="hiapi") == (
            "HiAPI is not open here: the operator decides which servers may use paid gateways. Nothing was held.\n"
            "`gateway:animatic` makes a free preview."
        )


async def test_missing_permissions_are_named_before_anything_is_held(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        denied = discord.PermissionOverwrite(attach_files=False, embed_links=False)
        quiet = on.guild.create_text_channel("quiet", overwrites={on.guild.default_role: denied})

        result = await on.member.slash(quiet, "video text", prompt="A paper boat")

        assert result.response.content == (
            "The bot could not post the video here: it lacks Embed Links and Attach Files. Nothing was held.\n"
            "Somebody who manages the channel can allow it; `private:True` works without."
        )


async def test_a_thread_needs_its_own_permission_to_send(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        denied = discord.PermissionOverwrite(send_messages=False)
        quiet = on.guild.create_text_channel("quiet", overwrites={on.guild.default_role: denied})
        await on.bot.get_channel(quiet.id).create_thread(name="t", type=discord.ChannelType.public_thread)

        result = await on.member.slash(quiet.threads[0], "video text", prompt="A paper boat")

        assert result.response.content.startswith("$0.645 on hold")


async def test_a_private_video_needs_open_direct_messages(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        on.messenger.direct_messages_open = False

        assert await on.say("text", prompt="A paper boat", private=True) == (
            "A private video comes by direct message, and yours are closed to the bot. Nothing was held.\n"
            "Allow direct messages from this server's members, or leave out `private`."
        )


async def test_an_exceeded_quota_names_price_rest_and_end(tmp_path: Path) -> None:
    async with stage(tmp_path, limits=Limits(1_400_000, None, None, None)) as on:
        assert await on.say("text", prompt="A paper boat", resolution="1080p", duration=10) == (
            f"This would take $2.29; you have $1.40 left {DAY_ENDS} (the operator's limit). Nothing was held.\n"
            "$0.89 is missing. A shorter video or 720p costs less, `gateway:animatic` nothing; `/video quota` shows "
            "your limits."
        )


async def test_a_pause_is_said(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.store.set_paused(True)

        assert await on.say("text", prompt="A paper boat") == (
            "The operator has paused new videos. Nothing was held.\nThose already under way go on. Ask again later."
        )


async def test_the_eleventh_preview_of_a_day_is_refused(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        for _ in range(10):
            await on.say("text", prompt="A paper boat", gateway="animatic")

        assert await on.say("text", prompt="A paper boat", gateway="animatic") == (
            f"You have made 10 free previews today, and that is the limit. Nothing was held.\nAsk again {TOMORROW}."
        )
