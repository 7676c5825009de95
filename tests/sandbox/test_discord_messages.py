"""Messages by the bot's own token: files, galleries, edits, pings, replies, nonces, permissions, threads, DMs."""

import io
from typing import Any

import aiohttp
import discord
import pytest
from discord import ui
from PIL import Image

from bot.sandbox.discord import permissions
from tests.sandbox.test_discord_playground import Playground, playing

pytestmark = pytest.mark.wire


def png(width: int = 40, height: int = 30) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def gallery(*urls: str, text: str = "card") -> ui.LayoutView:
    view = ui.LayoutView(timeout=None)
    items = [discord.MediaGalleryItem(url, description="alt") for url in urls]
    view.add_item(ui.Container(ui.TextDisplay(text), ui.MediaGallery(*items)))
    return view


def first_gallery(message: discord.Message) -> Any:
    container: Any = message.components[0]
    return container.children[1]


async def post_with_pictures(play: Playground, *names: str) -> discord.Message:
    files = [discord.File(io.BytesIO(png()), name) for name in names]
    return await play.place().send(view=gallery(*(f"attachment://{name}" for name in names)), files=files)


async def test_a_v2_message_shows_its_upload_in_the_gallery_and_no_attachments() -> None:
    async with playing() as play:
        sent = await post_with_pictures(play, "a.png")
        assert sent.attachments == []
        media = first_gallery(sent).items[0].media
        assert (media.width, media.height, media.content_type) == (40, 30, "image/png")
        assert await play.sandbox.download(media.url) == png()
        assert await play.sandbox.download(media.proxy_url) == png()
        stored = play.channel.messages[0]
        assert [(item.filename, item.size, item.description) for item in stored.media] == [("a.png", len(png()), "alt")]


async def test_a_read_message_carries_links_signed_anew() -> None:
    async with playing() as play:
        sent = await post_with_pictures(play, "a.png")
        play.clock.advance(3600)
        read = await play.place().fetch_message(sent.id)
        assert first_gallery(read).items[0].media.url != first_gallery(sent).items[0].media.url
        assert read.attachments == []


async def test_an_edit_without_attachments_keeps_the_pictures() -> None:
    async with playing() as play:
        sent = await post_with_pictures(play, "a.png", "b.png")
        own_link = first_gallery(sent).items[1].media.url
        await sent.edit(view=gallery("attachment://a.png", own_link, text="edited"))
        stored = play.channel.messages[0]
        assert stored.text == "edited"
        assert stored.edits == ["card"]
        assert [item.filename for item in stored.media] == ["a.png", "b.png"]


async def test_an_edit_that_keeps_nothing_removes_the_pictures_from_the_cdn() -> None:
    async with playing() as play:
        sent = await post_with_pictures(play, "a.png")
        url = play.channel.messages[0].media[0].url
        view = ui.LayoutView()
        view.add_item(ui.TextDisplay("gone"))
        await sent.edit(view=view, attachments=[])
        assert play.channel.messages[0].media == []
        with pytest.raises(aiohttp.ClientResponseError, match="404"):
            await play.sandbox.download(url)


async def test_a_gallery_of_a_file_that_was_not_sent_is_refused() -> None:
    async with playing() as play:
        with pytest.raises(discord.HTTPException, match="referenced attachment was not found") as caught:
            await play.place().send(view=gallery("attachment://missing.png"))
        assert caught.value.code == 50035


async def test_an_ordinary_message_lists_its_attachments() -> None:
    async with playing() as play:
        file = discord.File(io.BytesIO(b"x" * 10), "my clip.mp4", description="a boat")
        sent = await play.place().send("look", file=file)
        attachment = sent.attachments[0]
        assert (attachment.filename, attachment.size, attachment.description) == ("my_clip.mp4", 10, "a boat")
        assert await attachment.read() == b"x" * 10


async def test_an_mp4_has_its_size_in_pixels() -> None:
    header = bytes(76) + (640 << 16).to_bytes(4, "big") + (360 << 16).to_bytes(4, "big")
    track = (8 + len(header)).to_bytes(4, "big") + b"tkhd" + header
    for box in (b"trak", b"moov"):
        track = (8 + len(track)).to_bytes(4, "big") + box + track
    async with playing() as play:
        view = gallery("attachment://v.mp4")
        sent = await play.place().send(view=view, file=discord.File(io.BytesIO(track), "v.mp4"))
        media = first_gallery(sent).items[0].media
        assert (media.width, media.height, media.content_type) == (640, 360, "video/mp4")


async def test_content_on_a_v2_message_is_refused() -> None:
    async with playing() as play:
        sent = await post_with_pictures(play, "a.png")
        with pytest.raises(discord.HTTPException) as caught:
            await sent.edit(content="words")
        assert (caught.value.status, caught.value.code) == (400, 50035)


async def test_an_empty_message_is_refused_with_50006() -> None:
    async with playing() as play:
        with pytest.raises(discord.HTTPException) as caught:
            await play.place().send("")
        assert caught.value.code == 50006


async def test_pings_follow_allowed_mentions() -> None:
    async with playing() as play:
        text = f"{play.mia.mention} and {play.sandbox.owner.mention} @everyone"
        nobody, one = discord.AllowedMentions.none(), discord.AllowedMentions(everyone=False, users=[play.mia])
        await play.place().send(text, allowed_mentions=nobody)
        await play.place().send(text, allowed_mentions=one)
        await play.place().send(text)
        messages = play.channel.messages
        assert [message.pings for message in messages] == [[], [play.mia], [play.mia, play.sandbox.owner]]
        assert [message.pings_everyone for message in messages] == [False, False, True]


async def test_a_mention_in_a_v2_text_pings_only_if_allowed() -> None:
    async with playing() as play:
        view = ui.LayoutView()
        view.add_item(ui.TextDisplay(f"for {play.mia.mention}"))
        await play.place().send(view=view, allowed_mentions=discord.AllowedMentions.none())
        await play.place().send(view=view, allowed_mentions=discord.AllowedMentions(users=[play.mia]))
        assert [message.pings for message in play.channel.messages] == [[], [play.mia]]


async def test_a_reply_names_its_message_and_may_outlive_it() -> None:
    async with playing() as play:
        card = await play.place().send("card")
        reply = await play.place().send("video", reference=card.to_reference(), mention_author=False)
        assert reply.reference is not None
        assert reply.reference.message_id == card.id
        assert play.channel.messages[1].reference is play.channel.messages[0]
        await card.delete()
        with pytest.raises(discord.HTTPException, match="Unknown message"):
            await play.place().send("late", reference=card.to_reference())
        late = await play.place().send("late", reference=card.to_reference(fail_if_not_exists=False))
        assert late.reference is None


async def test_the_same_nonce_makes_one_message_after_a_lost_answer() -> None:
    async with playing() as play:
        play.sandbox.faults.drop_after(r"POST .*/messages$")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await play.place().send("video", nonce="v17")
        again = await play.place().send("video", nonce="v17")
        assert [message.id for message in play.channel.messages] == [again.id]


async def test_a_nonce_is_forgotten_after_its_window_or_when_told() -> None:
    async with playing() as play:
        for forget in (lambda: play.clock.advance(301), play.sandbox.faults.forget_nonces):
            first = await play.place().send("video", nonce="v17")
            forget()
            assert (await play.place().send("video", nonce="v17")).id != first.id


async def test_history_can_be_read_in_every_direction() -> None:
    async with playing(messages_per_5_s=None) as play:
        sent = [await play.place().send(str(number)) for number in range(6)]
        place = play.place()

        async def texts(**options: Any) -> list[str]:
            return [message.content async for message in place.history(**options)]

        assert await texts(limit=2) == ["5", "4"]
        assert await texts(limit=2, before=sent[3]) == ["2", "1"]
        assert await texts(limit=2, after=sent[3]) == ["4", "5"]
        assert set(await texts(limit=3, around=sent[3])) == {"2", "3", "4"}


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        (permissions.VIEW_CHANNEL, 50001),
        (permissions.SEND_MESSAGES, 50013),
        (permissions.ATTACH_FILES, 50013),
        (permissions.EMBED_LINKS, 50013),
    ],
)
async def test_a_missing_permission_refuses_the_message(missing: int, code: int) -> None:
    async with playing() as play:
        play.sandbox.set_bot_permissions(play.channel, permissions.EVERYONE & ~missing)
        embed, file = discord.Embed(title="e"), discord.File(io.BytesIO(b"x"), "x.txt")
        with pytest.raises(discord.Forbidden) as caught:
            await play.place().send("x", embed=embed, file=file)
        assert caught.value.code == code
        assert play.channel.messages == []


async def test_a_reply_without_permission_to_read_history_is_refused() -> None:
    async with playing() as play:
        card = await play.place().send("card")
        play.sandbox.set_bot_permissions(play.channel, permissions.EVERYONE & ~permissions.READ_MESSAGE_HISTORY)
        with pytest.raises(discord.Forbidden) as caught:
            await play.place().send("video", reference=card.to_reference())
        assert caught.value.code == 160002
        assert [message async for message in play.place().history()] == []


@pytest.mark.parametrize(("size", "refused"), [(1000, False), (1001, True), (26 * 2**20, True)])
async def test_a_file_above_the_limit_is_refused_with_413_and_40005(size: int, refused: bool) -> None:
    async with playing() as play:
        play.guild.upload_bytes_max = 1000
        file = discord.File(io.BytesIO(bytes(size)), "v.mp4")
        if not refused:
            await play.place().send(file=file)
            return
        with pytest.raises(discord.HTTPException) as caught:
            await play.place().send(file=file)
        assert (caught.value.status, caught.value.code) == (413, 40005)


async def test_a_direct_message_is_posted_and_a_closed_one_refused_with_50007() -> None:
    async with playing() as play:
        user = await play.bot.fetch_user(play.mia.id)
        await user.send("for you")
        assert play.mia.dm.messages[0].text == "for you"
        play.mia.dms_open = False
        with pytest.raises(discord.Forbidden) as caught:
            await user.send("again")
        assert caught.value.code == 50007


async def test_a_thread_takes_messages_until_it_is_archived_and_locked() -> None:
    async with playing() as play:
        thread = play.channel.add_thread("videos")
        place = play.place(thread)
        sent = await place.send("in the thread")
        thread.archive()
        with pytest.raises(discord.HTTPException) as caught:
            await place.send("too late")
        assert caught.value.code == 50083
        with pytest.raises(discord.HTTPException) as caught:
            await sent.edit(content="too late")
        assert caught.value.code == 50083


async def test_a_message_opens_an_archived_thread_that_is_not_locked() -> None:
    async with playing() as play:
        thread = play.channel.add_thread("videos")
        thread.archive(locked=False)
        await play.place(thread).send("hello again")
        assert not thread.archived


async def test_a_private_thread_without_the_bot_is_closed_to_it() -> None:
    async with playing() as play:
        hidden = play.channel.add_thread("secret", private=True, bot_is_member=False)
        with pytest.raises(discord.Forbidden) as caught:
            await play.place(hidden).send("x")
        assert caught.value.code == 50001
        await play.place(play.channel.add_thread("ours", private=True)).send("x")


async def test_the_bot_can_start_a_thread() -> None:
    async with playing() as play:
        await play.bot.wait_until_ready()
        channel = play.bot.get_channel(play.channel.id)
        assert isinstance(channel, discord.TextChannel)
        thread = await channel.create_thread(name="videos", type=discord.ChannelType.public_thread)
        await thread.send("x")
        assert [place.name for place in play.channel.threads] == ["videos"]
        await thread.edit(archived=True)
        assert next(play.channel.threads).archived


async def test_a_deleted_channel_is_unknown_and_so_is_a_deleted_message() -> None:
    async with playing() as play:
        sent = await play.place().send("x")
        play.sandbox.faults.delete_message(play.channel.messages[0])
        with pytest.raises(discord.NotFound) as caught:
            await sent.edit(content="y")
        assert caught.value.code == 10008
        play.sandbox.faults.delete_channel(play.channel)
        with pytest.raises(discord.NotFound) as caught:
            await play.place().send("x")
        assert caught.value.code == 10003


async def test_typing_and_reading_a_channel_work() -> None:
    async with playing() as play:
        await play.place().typing()
        channel = await play.bot.fetch_channel(play.channel.id)
        assert isinstance(channel, discord.TextChannel)
        assert channel.name == "general"


async def test_waiting_for_a_message_says_what_did_not_come() -> None:
    async with playing() as play:
        with pytest.raises(TimeoutError, match="#general"):
            await play.channel.wait_message(lambda message: message.text == "never", timeout_s=0.01)
