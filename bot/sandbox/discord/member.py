"""What a member can do in Discord's client: commands, autocomplete, buttons, selects and modals."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.sandbox.discord.commands import Commands
from bot.sandbox.discord.components import BUTTON, LINK_STYLE, STRING_SELECT, Component, interactive
from bot.sandbox.discord.errors import SandboxRefusal
from bot.sandbox.discord.files import StoredFile, Upload
from bot.sandbox.discord.gateway import Gateway
from bot.sandbox.discord.interaction import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL_SUBMIT, Interaction, Interactions
from bot.sandbox.discord.message import Message
from bot.sandbox.discord.modal_form import ModalForm
from bot.sandbox.discord.options import fill, fill_partly, find_command, wrap
from bot.sandbox.discord.people import Channel, User
from bot.sandbox.discord.rules_commands import Definition
from bot.sandbox.discord.wire import BOT_DM_CONTEXT, GUILD_CONTEXT, JSON
from bot.sandbox.discord.wire_interactions import interaction_json, resolved_json
from bot.sandbox.discord.world import World

AUTOCOMPLETE_WITHIN_S = 3.0


class MemberActions:
    """Refuses (SandboxRefusal) what the client would not let a member do; else sends the interaction."""

    def __init__(self, world: World, commands: Commands, interactions: Interactions, gateway: Gateway) -> None:
        self._world = world
        self._commands = commands
        self._interactions = interactions
        self._gateway = gateway

    def command(
        self, user: User, channel: Channel, path: str, options: Mapping[str, Any], attachments: Mapping[str, Upload]
    ) -> Interaction:
        command, below, definitions = self._usable(user, channel, path)
        filled = fill(definitions, options, attachments, lambda upload: self._store(user, channel, upload))
        data = self._command_data(command, wrap(command, below, filled.options))
        resolved = resolved_json(channel, user, users=filled.users, channels=filled.channels, files=filled.files)
        if resolved:
            data["resolved"] = resolved
        return self._send(self._interactions.open(COMMAND, user, channel, name=path), data)

    async def autocomplete(
        self, user: User, channel: Channel, path: str, focused: str, options: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The choices the bot offers; `TimeoutError` if it offers none within three seconds."""
        command, below, definitions = self._usable(user, channel, path)
        data = self._command_data(command, wrap(command, below, fill_partly(definitions, options, focused)))
        interaction = self._send(self._interactions.open(AUTOCOMPLETE, user, channel, name=path), data)
        what = f"choices for {focused}"
        return await interaction.bell.until(lambda: interaction.choices, timeout_s=AUTOCOMPLETE_WITHIN_S, what=what)

    def press(self, user: User, message: Message, name: str, values: Sequence[str]) -> Interaction:
        """A button by its label or custom_id, or a select by its custom_id with the values chosen."""
        self._require_sight(user, message)
        component = next((c for c in interactive(message.stored_components) if name in _names(c)), None)
        if component is None:
            raise SandboxRefusal(f"the message has no {name}; it has {[button.label for button in message.buttons]}")
        if component.get("disabled"):
            raise SandboxRefusal(f"{name} is disabled")
        if component.get("style") == LINK_STYLE:
            raise SandboxRefusal(f"{name} is a link to {component['url']}")
        data: JSON = {
            "custom_id": component["custom_id"],
            "component_type": component["type"],
            "id": component.get("id", 0),
        }
        if component["type"] != BUTTON:
            data |= self._chosen(user, message.channel, component, values)
        interaction = self._interactions.open(COMPONENT, user, message.channel, name=name, source=message)
        return self._send(interaction, data)

    def submit_modal(self, user: User, shown: Interaction, values: Mapping[str, Any]) -> Interaction:
        if shown.modal is None or shown.user is not user:
            raise SandboxRefusal(f"{user.name} sees no modal")
        channel = shown.channel
        form = ModalForm(values, lambda upload: self._store(user, channel, upload))
        form.fill(shown.modal)
        data: JSON = {"custom_id": shown.modal["custom_id"], "components": form.rows}
        resolved = resolved_json(channel, user, files=form.files)
        if resolved:
            data["resolved"] = resolved
        interaction = self._interactions.open(MODAL_SUBMIT, user, channel, name=shown.name, trigger=shown)
        return self._send(interaction, data)

    def _send(self, interaction: Interaction, data: JSON) -> Interaction:
        interaction.payload = interaction_json(interaction, data)
        self.deliver(interaction)
        return interaction

    def deliver(self, interaction: Interaction) -> None:
        """Tells the bot of the interaction; again, if it was told before."""
        self._gateway.dispatch_interaction(interaction.payload, interaction.channel.guild)

    def _usable(self, user: User, channel: Channel, path: str) -> tuple[Definition, list[str], list[Definition]]:
        self._require_presence(user, channel)
        if channel.archived or channel.locked:
            raise SandboxRefusal(f"#{channel.name} is closed")
        command, below, definitions = find_command(self._commands.seen_in(channel), path)
        context = GUILD_CONTEXT if channel.guild else BOT_DM_CONTEXT
        contexts = command["contexts"]
        if (contexts is not None and context not in contexts) or (not channel.guild and not command["dm_permission"]):
            raise SandboxRefusal(f"/{path} cannot be used here")
        if command["nsfw"] and not channel.nsfw:
            raise SandboxRefusal(f"/{path} is for age-restricted channels")
        needed = command["default_member_permissions"]
        if needed is not None and channel.guild is not None:
            bits = channel.guild.member_permissions(user)
            if bits & int(needed) != int(needed) or (int(needed) == 0 and user is not channel.guild.owner):
                raise SandboxRefusal(f"{user.name} may not use /{path}")
        return command, below, definitions

    @staticmethod
    def _command_data(command: Definition, options: list[dict[str, Any]]) -> JSON:
        data: JSON = {"id": command["id"], "name": command["name"], "type": command["type"], "options": options}
        if "guild_id" in command:
            data["guild_id"] = command["guild_id"]
        return data

    @staticmethod
    def _require_presence(user: User, channel: Channel) -> None:
        here = user.id in channel.guild.members if channel.guild else channel.recipient is user
        if not here or channel.deleted:
            raise SandboxRefusal(f"{user.name} is not in #{channel.name}")
        if channel.guild and not channel.guild.has_bot:
            raise SandboxRefusal(f"the bot is not in {channel.guild.name}")

    def _require_sight(self, user: User, message: Message) -> None:
        self._require_presence(user, message.channel)
        private = message.ephemeral and (message.interaction is None or message.interaction.user is not user)
        if message.deleted or private:
            raise SandboxRefusal(f"{user.name} does not see this message")

    def _store(self, user: User, channel: Channel, upload: Upload) -> StoredFile:
        limit = max(channel.upload_bytes_max, user.upload_bytes_max)
        if len(upload.data) > limit:
            raise SandboxRefusal(f"{upload.filename} is larger than {user.name} may upload ({limit} bytes)")
        folder = f"ephemeral-attachments/{self._world.application_id}"
        return self._world.store_file(upload, folder=folder, ephemeral=True)

    @staticmethod
    def _chosen(user: User, channel: Channel, component: Component, values: Sequence[str]) -> JSON:
        low, high = component.get("min_values", 1), component.get("max_values", 1)
        if not low <= len(values) <= high:
            raise SandboxRefusal(f"{component['custom_id']} takes {low} to {high} values")
        if component["type"] == STRING_SELECT:
            offered = [option["value"] for option in component["options"]]
            wrong = [value for value in values if value not in offered]
            if wrong:
                raise SandboxRefusal(f"{component['custom_id']} has no option {wrong[0]}")
            return {"values": list(values)}
        found = [known for value in values if (known := channel.world.users.get(int(value)))]
        return {"values": list(values), "resolved": resolved_json(channel, user, users=found)}


def _names(component: Component) -> set[str]:
    return {name for name in (component.get("custom_id"), component.get("label")) if name}
