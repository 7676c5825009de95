"""REST routes by an interaction's token: the first answer, its edits, and the followups."""

from typing import Any

from bot.sandbox.discord import rules
from bot.sandbox.discord.call import Answer, Call
from bot.sandbox.discord.components import EPHEMERAL_FLAG, LOADING_FLAG, V2_FLAG
from bot.sandbox.discord.errors import (
    already_acknowledged,
    invalid_form,
    thread_archived,
    token_expired,
    unknown_channel,
    unknown_interaction,
    unknown_message,
    unknown_webhook,
)
from bot.sandbox.discord.interaction import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL_SUBMIT, Interaction, Interactions
from bot.sandbox.discord.message import Message
from bot.sandbox.discord.pipeline import Route
from bot.sandbox.discord.posting import Draft, Posting
from bot.sandbox.discord.rules_commands import check_choices
from bot.sandbox.discord.rules_modals import check_modal
from bot.sandbox.discord.wire_messages import message_json
from bot.sandbox.discord.world import World

ANSWER, DEFER, DEFER_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9
FLAGS_ON_ANSWER = 1 << 2 | EPHEMERAL_FLAG | 1 << 12 | V2_FLAG
ALLOWED = {
    COMMAND: {ANSWER, DEFER, MODAL},
    COMPONENT: {ANSWER, DEFER, DEFER_UPDATE, UPDATE, MODAL},
    AUTOCOMPLETE: {CHOICES},
    MODAL_SUBMIT: {ANSWER, DEFER, DEFER_UPDATE, UPDATE},
}


class InteractionRoutes:
    """Three seconds for the first answer, fifteen minutes for everything after it."""

    def __init__(self, world: World, posting: Posting, interactions: Interactions) -> None:
        self._world = world
        self._posting = posting
        self._interactions = interactions

    def routes(self) -> list[Route]:
        hook = "/webhooks/{webhook_id}/{webhook_token}"
        original, one = f"{hook}/messages/@original", f"{hook}/messages/{{message_id}}"
        return [
            Route("POST", "/interactions/{interaction_id}/{interaction_token}/callback", self.callback),
            Route("POST", hook, self.follow_up),
            Route("GET", original, self.get_message),
            Route("PATCH", original, self.edit_message),
            Route("DELETE", original, self.delete_message),
            Route("GET", one, self.get_message),
            Route("PATCH", one, self.edit_message),
            Route("DELETE", one, self.delete_message),
        ]

    def callback(self, call: Call) -> Answer:
        interaction = self._interactions.find(call.path["interaction_token"])
        if interaction is None or interaction.id != call.number("interaction_id"):
            raise unknown_interaction()
        if interaction.acknowledgement is not None:
            raise already_acknowledged()
        if interaction.too_late_to_acknowledge(self._world.now()):
            raise unknown_interaction()
        self._require_place(interaction)
        kind = call.form.get("type")
        if kind not in ALLOWED[interaction.kind]:
            raise invalid_form("type", "BASE_TYPE_CHOICES", "This answer does not fit this kind of interaction.")
        resource = self._first_answer(interaction, kind, call)
        interaction.acknowledge(kind, call.arrived_at)
        interaction.bell.ring()
        if call.query.get("with_response", "").lower() not in {"1", "true"}:
            return Answer(204)
        return Answer(200, _callback_json(interaction, resource))

    def _first_answer(self, interaction: Interaction, kind: int, call: Call) -> dict[str, Any] | None:
        data: dict[str, Any] = call.form.get("data") or {}
        if kind == CHOICES:
            check_choices("data.choices", data.get("choices"))
            interaction.choices = data.get("choices") or []
        elif kind == MODAL:
            check_modal(data)
            interaction.modal = data
        elif kind == DEFER:
            ephemeral = bool((data.get("flags") or 0) & EPHEMERAL_FLAG)
            interaction.original = self._posting.placeholder(interaction.channel, interaction, ephemeral=ephemeral)
        elif kind == ANSWER:
            flags = (data.get("flags") or 0) & FLAGS_ON_ANSWER
            interaction.original = self._create(interaction, Draft(data, call.uploads), flags)
            return {"type": kind, "message": message_json(interaction.original)}
        else:
            interaction.original = self._source(interaction)
            interaction.original.watchers.add(interaction.bell)
            if kind == UPDATE:
                self._posting.edit(interaction.original, Draft(data, call.uploads))
                return {"type": kind, "message": message_json(interaction.original)}
        return None

    @staticmethod
    def _source(interaction: Interaction) -> Message:
        """The message whose button was pressed, also when a modal came between."""
        origin = interaction.source or (interaction.trigger.source if interaction.trigger else None)
        if origin is None:
            raise invalid_form("type", "BASE_TYPE_CHOICES", "There is no message to update.")
        return origin

    def _create(self, interaction: Interaction, draft: Draft, flags: int) -> Message:
        return self._posting.create(interaction.channel, draft, flags=flags, interaction=interaction)

    def _live(self, call: Call) -> Interaction:
        """The interaction of a webhook address, if it was answered and its token still works."""
        interaction = self._interactions.find(call.path["webhook_token"])
        if interaction is None or call.number("webhook_id") != self._world.application_id:
            raise unknown_webhook()
        if interaction.token_expired(self._world.now()):
            raise token_expired()
        if interaction.acknowledgement is None:
            raise unknown_webhook()
        self._require_place(interaction)
        return interaction

    @staticmethod
    def _require_place(interaction: Interaction) -> None:
        if interaction.channel.deleted:
            raise unknown_channel()
        if interaction.channel.locked:
            raise thread_archived()

    def _message(self, call: Call) -> tuple[Interaction, Message]:
        interaction = self._live(call)
        message = interaction.original
        if "message_id" in call.path:
            wanted = call.number("message_id")
            mine = [*interaction.followups, *([interaction.original] if interaction.original else [])]
            message = next((known for known in mine if known.id == wanted), None)
        if message is None or message.deleted:
            raise unknown_message()
        return interaction, message

    def follow_up(self, call: Call) -> Answer:
        """The first followup to a deferred answer becomes that answer, as private as the deferral was."""
        interaction = self._live(call)
        flags = (call.form.get("flags") or 0) & FLAGS_ON_ANSWER
        waiting = interaction.original
        if waiting is not None and waiting.loading and not waiting.deleted:
            flags = waiting.flags & ~LOADING_FLAG | flags & ~EPHEMERAL_FLAG
            payload = {**call.form, "flags": flags}
            return Answer(200, message_json(self._posting.edit(waiting, Draft(payload, call.uploads))))
        rules.must(not call.form.get("enforce_nonce"), "enforce_nonce", "UNKNOWN_FIELD", "Not for webhooks.")
        message = self._create(interaction, call.draft, flags)
        interaction.followups.append(message)
        interaction.bell.ring()
        return Answer(200, message_json(message))

    def get_message(self, call: Call) -> Answer:
        return Answer(200, message_json(self._message(call)[1]))

    def edit_message(self, call: Call) -> Answer:
        interaction, message = self._message(call)
        edited = self._posting.edit(message, call.draft)
        interaction.bell.ring()
        return Answer(200, message_json(edited))

    def delete_message(self, call: Call) -> Answer:
        interaction, message = self._message(call)
        message.delete()
        interaction.bell.ring()
        return Answer(204)


def _callback_json(interaction: Interaction, resource: dict[str, Any] | None) -> dict[str, Any]:
    body: dict[str, Any] = {"id": str(interaction.id), "type": interaction.kind}
    message = interaction.original
    if message is not None:
        body |= {
            "response_message_id": str(message.id),
            "response_message_loading": message.loading,
            "response_message_ephemeral": message.ephemeral,
        }
    return {"interaction": body, "resource": resource} if resource else {"interaction": body}
