"""A manager's settings over the wire: lists, forms and the audit channel, also after a restart."""

import json
from pathlib import Path

import pytest

from bot.domain.guild import GuildSettings
from bot.sandbox.discord import Channel, Interaction, Message, SandboxRefusal
from tests.scenarios.theatre import Theatre, theatre

pytestmark = pytest.mark.wire


async def opened(t: Theatre) -> Message:
    return await (await t.command("video-admin settings", user=t.discord.owner)).answer()


async def press(t: Theatre, card: Message, name: str, *values: object) -> Interaction:
    """Press a button by its label, or choose from the list, or open the form, of a setting."""
    ids = [part for part in json.dumps(card.components).split('"') if f":{name}:" in part]
    return await t.discord.press(t.discord.owner, card, ids[0] if ids else name, [str(value) for value in values])


async def changed(interaction: Interaction, words: str) -> Message:
    """Wait until the pressed message says this."""
    return await interaction.answer(until=lambda message: words in message.text)


async def told(channel: Channel, words: str) -> Message:
    return await channel.wait_message(lambda message: words in message.text, 20)


async def test_lists_and_forms_change_settings_and_every_act_is_told_once(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        log, boss = t.guild.add_channel("log"), t.discord.owner
        card = await opened(t)
        money = await changed(await press(t, card, "Money and time"), "money and time")

        await changed(await press(t, money, "audit_channel_id", log.id), f"posted in <#{log.id}>")
        form = await press(t, money, "retention_days")
        await form.modal_shown()
        typed = await t.discord.submit_modal(boss, form, {"value": "7"})
        where = await changed(typed, "Videos are kept for 7 days.")
        where = await changed(await press(t, where, "Where and who"), "where and who")
        where = await changed(await press(t, where, "channel_ids", t.channel.id), f"can be made in <#{t.channel.id}>")
        await told(log, "set allowed channels · ")
        await t.restart()
        await changed(await press(t, where, "gateways", "hiapi"), "Videos are made only by HiAPI")
        await told(log, "set the rule for the whole server")

        settings = await t.app.store.guild(t.guild.id)
        assert settings == GuildSettings(
            t.guild.id, channel_ids=frozenset({t.channel.id}), retention_days=7, audit_channel_id=log.id
        )
        assert [message.text.split(" · ")[0] for message in log.messages] == [
            f"<@{boss.id}> set audit channel",
            f"<@{boss.id}> set retention",
            f"<@{boss.id}> set allowed channels",
            f"<@{boss.id}> set the rule for the whole server",
        ]


async def test_a_member_who_is_no_manager_sees_no_settings(tmp_path: Path) -> None:
    async with theatre(tmp_path) as t:
        for command in ("settings", "pause", "resume", "audit"):
            with pytest.raises(SandboxRefusal):
                await t.command(f"video-admin {command}")
