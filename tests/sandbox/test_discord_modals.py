"""Modals: shown, filled in as Discord's client lets a member fill them, and submitted with files."""

from typing import Any

import discord
import pytest
from discord import ui

from bot.sandbox.discord import SandboxRefusal, Upload
from tests.sandbox.test_discord_playground import playing

pytestmark = pytest.mark.wire

PICTURE = Upload("my picture.png", b"not looked at")


class Form(ui.Modal, title="Pictures"):
    prompt: Any = ui.Label(text="Prompt", component=ui.TextInput(custom_id="prompt", max_length=20))
    files: Any = ui.Label(text="Files", component=ui.FileUpload(custom_id="files", max_values=10))

    async def on_submit(self, interaction: discord.Interaction) -> None:
        read = [len(await attachment.read()) for attachment in self.files.component.values]
        await interaction.response.send_message(f"{self.prompt.component.value}: {read}", ephemeral=True)


async def test_a_modal_brings_its_text_and_ten_files() -> None:
    async def act(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Form())

    async with playing() as play:
        shown = await play.run(act)
        modal = await shown.modal_shown()
        assert modal["title"] == "Pictures"
        uploads = [Upload(f"{size}.png", bytes(size)) for size in range(1, 11)]
        submitted = await play.sandbox.submit_modal(play.mia, shown, {"Prompt": "boat", "files": uploads})
        assert (await submitted.answer()).text == f"boat: {list(range(1, 11))}"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"Prompt": "x" * 21, "files": [PICTURE]}, "takes 0 to 20"),
        ({"Prompt": "", "files": [PICTURE]}, "required"),
        ({"Prompt": "x", "files": [PICTURE] * 11}, "1 to 10 values"),
        ({"Prompt": "x", "files": [PICTURE], "Colour": "red"}, "no field Colour"),
    ],
)
async def test_the_client_refuses_a_modal_filled_wrongly(values: dict[str, Any], reason: str) -> None:
    async def act(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Form())

    async with playing() as play:
        shown = await play.run(act)
        with pytest.raises(SandboxRefusal, match=reason):
            await play.sandbox.submit_modal(play.mia, shown, values)


async def test_a_modal_cannot_be_answered_with_a_modal() -> None:
    refused: list[int] = []

    class Again(ui.Modal, title="Again"):
        text: Any = ui.TextInput(label="Text", default="kept")

        async def on_submit(self, interaction: discord.Interaction) -> None:
            try:
                await interaction.response.send_modal(Again())
            except discord.HTTPException as error:
                refused.append(error.code)
            await discord.InteractionResponse(interaction).send_message(f"{self.text.value}")

    async def act(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Again())

    async with playing() as play:
        shown = await play.run(act)
        submitted = await play.sandbox.submit_modal(play.mia, shown, {})
        assert (await submitted.answer()).text == "kept"
        assert refused == [50035]
