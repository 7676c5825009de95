"""Interactions as discord.py gets and answers them: commands, autocomplete, buttons, and their time limits."""

import asyncio
import io
import re
from typing import Any, Self

import discord
import pytest
from discord import app_commands, ui
from PIL import Image

from bot.sandbox.discord import SandboxRefusal, Upload
from tests.sandbox.test_discord_playground import Actor, playing

pytestmark = pytest.mark.wire


def picture(width: int = 40, height: int = 30) -> Upload:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return Upload("my picture.png", buffer.getvalue())


def video_commands(bot: Actor) -> None:
    group = app_commands.Group(name="video", description="Videos")

    @group.command(name="reference", description="From pictures")
    async def reference(
        interaction: discord.Interaction,
        prompt: app_commands.Range[str, 1, 50],
        image1: discord.Attachment,
        seconds: app_commands.Range[int, 3, 15] = 5,
        gateway: str | None = None,
        image2: discord.Attachment | None = None,
    ) -> None:
        interaction.extras["options"] = (prompt, image1, seconds, gateway, image2)
        await bot.perform(interaction)

    @reference.autocomplete("gateway")
    async def gateways(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        told = f"{current}, {interaction.namespace.seconds} s"
        return [app_commands.Choice(name=told, value="hiapi")]

    @app_commands.default_permissions(manage_guild=True)
    @app_commands.guild_only()
    @bot.tree.command(name="video-admin", description="For managers")
    async def admin(interaction: discord.Interaction) -> None:
        await bot.perform(interaction)

    bot.tree.add_command(group)


async def test_a_slash_command_brings_its_options_and_the_bytes_of_its_attachments() -> None:
    seen: dict[str, Any] = {}

    async def act(interaction: discord.Interaction) -> None:
        prompt, image1, seconds, _, image2 = interaction.extras["options"]
        await interaction.response.defer(ephemeral=True)
        seen.update(prompt=prompt, seconds=seconds, image2=image2, size=(image1.width, image1.height))
        seen.update(name=image1.filename, kind=image1.content_type, bytes=await image1.read())

    async with playing(video_commands) as play:
        sent = picture(40, 30)
        play.expect(act)
        options = {"prompt": "a boat", "seconds": 7}
        await play.sandbox.command(play.mia, play.channel, "video reference", options, {"image1": sent})
        await play.finished()
    assert seen == {
        "prompt": "a boat",
        "seconds": 7,
        "image2": None,
        "size": (40, 30),
        "name": "my_picture.png",
        "kind": "image/png",
        "bytes": sent.data,
    }


@pytest.mark.parametrize(
    ("path", "options", "files", "reason"),
    [
        ("video nothing", {}, {}, "no subcommand"),
        ("video", {}, {}, "needs a subcommand"),
        ("nothing", {}, {}, "no command"),
        ("video reference", {"prompt": "x"}, {}, "image1 is required"),
        ("video reference", {"prompt": "x" * 51}, {"image1"}, "outside"),
        ("video reference", {"prompt": "x", "seconds": 16}, {"image1"}, "outside"),
        ("video reference", {"prompt": "x", "seconds": "5"}, {"image1"}, "does not take"),
        ("video reference", {"prompt": "x", "colour": "red"}, {"image1"}, "no option colour"),
        ("video-admin", {}, {}, "may not use"),
    ],
)
async def test_the_client_refuses_what_discords_client_refuses(
    path: str, options: dict[str, Any], files: set[str], reason: str
) -> None:
    async with playing(video_commands) as play:
        with pytest.raises(SandboxRefusal, match=reason):
            await play.sandbox.command(play.mia, play.channel, path, options, dict.fromkeys(files, picture()))


async def test_a_manager_may_use_what_needs_manage_server_but_not_in_a_direct_message() -> None:
    async def act(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("hello")

    async with playing(video_commands) as play:
        boss = play.sandbox.add_user("boss")
        play.guild.add_member(boss, manager=True)
        play.expect(act)
        interaction = await play.sandbox.command(boss, play.channel, "video-admin")
        assert (await interaction.answer()).text == "hello"
        with pytest.raises(SandboxRefusal, match="cannot be used here"):
            await play.sandbox.command(boss, boss.dm, "video-admin")


async def test_a_member_cannot_upload_more_than_discord_lets_them() -> None:
    async with playing(upload_bytes_max=1000) as play:
        with pytest.raises(SandboxRefusal, match="larger"):
            await play.sandbox.command(play.mia, play.channel, "run", {}, {"picture": Upload("x.png", bytes(1001))})


async def test_autocomplete_answers_for_the_options_typed_so_far() -> None:
    async with playing(video_commands) as play:
        typed = {"gateway": "hi", "seconds": 9}
        choices = await play.sandbox.autocomplete(play.mia, play.channel, "video reference", "gateway", typed)
        assert choices == [{"name": "hi, 9 s", "value": "hiapi"}]
        with pytest.raises(SandboxRefusal, match="does not autocomplete"):
            await play.sandbox.autocomplete(play.mia, play.channel, "video reference", "prompt", {})


async def test_defer_edit_and_followup_arrive_as_one_private_answer_and_one_more() -> None:
    async def act(interaction: discord.Interaction) -> None:
        await interaction.response.defer(ephemeral=True)
        await interaction.edit_original_response(content="first")
        await interaction.edit_original_response(content="second")
        await interaction.followup.send("more", ephemeral=True)

    async with playing() as play:
        interaction = await play.run(act)
        kind, took_s = await interaction.acknowledged()
        assert kind == 5
        assert took_s < 3
        answer = await interaction.answer(until=lambda message: message.text == "second")
        assert answer.ephemeral
        assert answer.edits == ["", "first"]
        assert (await interaction.followup()).text == "more"
        assert play.channel.messages == []


async def test_the_first_followup_to_a_deferred_answer_becomes_that_answer() -> None:
    async def act(interaction: discord.Interaction) -> None:
        await interaction.response.defer(ephemeral=True)
        await interaction.followup.send("the answer")

    async with playing() as play:
        interaction = await play.run(act)
        answer = await interaction.answer()
        assert (answer.text, answer.ephemeral, interaction.followups) == ("the answer", True, [])


async def test_a_followup_can_carry_a_file_and_be_edited_and_deleted() -> None:
    async def act(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("answer")
        message = await interaction.followup.send("x", file=discord.File(io.BytesIO(b"clip"), "v.mp4"), wait=True)
        assert message.attachments[0].size == 4
        await message.edit(content="y")
        await interaction.delete_original_response()
        with pytest.raises(discord.NotFound) as caught:
            await interaction.original_response()
        assert caught.value.code == 10008

    async with playing() as play:
        interaction = await play.run(act)
        followup = await interaction.followup()
        assert (followup.text, followup.media[0].filename) == ("y", "v.mp4")
        assert play.channel.messages == [followup]


async def test_a_deferred_answer_can_become_a_v2_message_with_a_picture() -> None:
    async def act(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        view = ui.LayoutView()
        view.add_item(ui.TextDisplay("card"))
        view.add_item(ui.MediaGallery(discord.MediaGalleryItem("attachment://p.png")))
        file = discord.File(io.BytesIO(picture().data), "p.png")
        message = await interaction.edit_original_response(view=view, attachments=[file])
        assert message.attachments == []

    async with playing() as play:
        answer = await (await play.run(act)).answer()
        assert answer.is_v2
        assert (answer.text, answer.media[0].filename) == ("card", "p.png")


async def test_a_second_acknowledgement_is_refused_with_40060() -> None:
    async def act(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        with pytest.raises(discord.HTTPException) as caught:
            await discord.InteractionResponse(interaction).defer()
        assert (caught.value.status, caught.value.code) == (400, 40060)

    async with playing() as play:
        await play.run(act)


async def test_an_acknowledgement_after_three_seconds_is_refused_with_10062() -> None:
    async with playing() as play:

        async def act(interaction: discord.Interaction) -> None:
            play.clock.advance(3.1)
            with pytest.raises(discord.NotFound) as caught:
                await interaction.response.defer()
            assert caught.value.code == 10062

        interaction = await play.run(act)
        assert interaction.acknowledgement is None


async def test_the_token_dies_after_fifteen_minutes_with_50027() -> None:
    async with playing() as play:

        async def act(interaction: discord.Interaction) -> None:
            await interaction.response.defer()
            play.clock.advance(899)
            await interaction.edit_original_response(content="in time")
            play.clock.advance(2)
            for late in (interaction.edit_original_response(content="late"), interaction.followup.send("late")):
                with pytest.raises(discord.HTTPException) as caught:
                    await late
                assert (caught.value.status, caught.value.code) == (401, 50027)

        answer = await (await play.run(act)).answer()
        assert answer.text == "in time"


class Cancel(ui.DynamicItem[ui.Button[ui.LayoutView]], template=r"cancel:(?P<job>\d+)"):
    def __init__(self, job: int) -> None:
        super().__init__(ui.Button(label="Cancel", custom_id=f"cancel:{job}"))
        self.job = job

    @classmethod
    async def from_custom_id(cls, _: discord.Interaction, __: ui.Item[Any], match: re.Match[str]) -> Self:
        return cls(int(match["job"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        view = ui.LayoutView()
        view.add_item(ui.TextDisplay(f"cancelled {self.job}"))
        await interaction.response.edit_message(view=view)


async def test_a_dynamic_button_on_a_v2_message_edits_its_message() -> None:
    async with playing(lambda bot: bot.add_dynamic_items(Cancel)) as play:
        view = ui.LayoutView(timeout=None)
        row: ui.ActionRow[ui.LayoutView] = ui.ActionRow(Cancel(17))
        view.add_item(ui.Container(ui.TextDisplay("card"), row))
        await play.place().send(view=view)
        card = play.channel.messages[0]
        interaction = await play.sandbox.press(play.mia, card, "Cancel")
        answer = await interaction.answer(until=lambda message: "cancelled" in message.text)
        assert answer is card
        assert (card.text, card.buttons) == ("cancelled 17", [])


async def test_a_button_nobody_can_press_is_refused() -> None:
    async def act(interaction: discord.Interaction) -> None:
        view = ui.View()
        view.add_item(ui.Button(label="Off", custom_id="off", disabled=True))
        view.add_item(ui.Button(label="Site", url="https://example.org"))
        await interaction.response.send_message("x", view=view, ephemeral=True)

    async with playing() as play:
        answer = await (await play.run(act)).answer()
        stranger = play.sandbox.add_user("stranger")
        play.guild.add_member(stranger)
        for user, name, reason in [
            (play.mia, "Off", "disabled"),
            (play.mia, "Site", "link"),
            (play.mia, "None", "has no"),
            (stranger, "Off", "does not see"),
        ]:
            with pytest.raises(SandboxRefusal, match=reason):
                await play.sandbox.press(user, answer, name)


async def test_a_select_brings_the_chosen_values() -> None:
    async def act(interaction: discord.Interaction) -> None:
        view = ui.View()
        select: ui.Select[ui.View] = ui.Select(custom_id="mode", options=[discord.SelectOption(label="720p")])

        async def chosen(inner: discord.Interaction) -> None:
            await inner.response.send_message(f"chose {select.values}")

        select.callback = chosen  # type: ignore[method-assign]
        view.add_item(select)
        await interaction.response.send_message("x", view=view)

    async with playing() as play:
        answer = await (await play.run(act)).answer()
        with pytest.raises(SandboxRefusal, match="no option"):
            await play.sandbox.press(play.mia, answer, "mode", ["4k"])
        interaction = await play.sandbox.press(play.mia, answer, "mode", ["720p"])
        assert (await interaction.answer()).text == "chose ['720p']"


async def test_a_command_in_a_direct_message_is_answered_there() -> None:
    async def act(interaction: discord.Interaction) -> None:
        assert interaction.guild is None
        assert interaction.context.dm_channel
        await interaction.response.send_message("here")

    async with playing() as play:
        interaction = await play.run(act, channel=play.mia.dm)
        assert (await interaction.answer()).channel is play.mia.dm


async def test_an_interaction_says_what_the_bot_may_do_there_and_how_much_it_may_send() -> None:
    seen: list[tuple[int, int]] = []

    async def act(interaction: discord.Interaction) -> None:
        seen.append((interaction.app_permissions.value, interaction.filesize_limit))
        await interaction.response.defer()

    async with playing() as play:
        play.sandbox.set_bot_permissions(play.channel, (1 << 10) | (1 << 11))
        play.guild.upload_bytes_max = 12_345
        await play.run(act)
        await play.run(act, channel=play.channel.add_thread("thread"))
    assert seen == [((1 << 10) | (1 << 11), 12_345)] * 2


async def test_a_pressed_card_that_the_bot_edits_later_by_its_own_token_is_seen() -> None:
    pressed: list[discord.Interaction] = []

    class Press(ui.View):
        @ui.button(label="Again", custom_id="again")
        async def again(self, interaction: discord.Interaction, _: ui.Button[Any]) -> None:
            await interaction.response.defer()
            pressed.append(interaction)

    async with playing() as play:
        sent = await play.place().send("card", view=Press(timeout=None))
        interaction = await play.sandbox.press(play.mia, play.channel.messages[0], "again")
        assert (await interaction.acknowledged()).type == 6
        waiting = asyncio.create_task(interaction.answer(until=lambda message: message.text == "later"))
        await sent.edit(content="later")
        assert (await waiting).text == "later"


async def test_an_answer_in_a_channel_deleted_meanwhile_is_refused_with_10003() -> None:
    async with playing() as play:

        async def act(interaction: discord.Interaction) -> None:
            await interaction.response.defer()
            play.channel.delete()
            with pytest.raises(discord.NotFound) as caught:
                await interaction.edit_original_response(content="x")
            assert caught.value.code == 10003

        await play.run(act)


async def test_a_member_with_nitro_may_attach_more_and_the_answer_may_be_as_large() -> None:
    seen: list[int] = []

    async def act(interaction: discord.Interaction) -> None:
        seen.append(interaction.filesize_limit)
        await interaction.response.defer()
        file = discord.File(io.BytesIO(bytes(2000)), "v.mp4")
        await interaction.edit_original_response(attachments=[file])

    async with playing(upload_bytes_max=1000) as play:
        play.mia.nitro = True
        interaction = await play.run(act, picture=Upload("x.png", bytes(2000)))
        assert seen == [500 * 2**20]
        assert (await interaction.answer()).media[0].size == 2000
