"""Whom a message pings: its text, weighed against the request's `allowed_mentions`."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bot.sandbox.discord.errors import invalid_form
from bot.sandbox.discord.people import Channel, User

USER_MENTION = re.compile(r"<@!?(\d+)>")
EVERYONE_MENTION = re.compile(r"@(everyone|here)\b")
IDS_MAX = 100


class Pings(NamedTuple):
    users: list[User]
    everyone: bool


def pings_of(text: str, allowed: Mapping[str, Any] | None, *, channel: Channel, replied_to: User | None) -> Pings:
    """Without `allowed_mentions` everything pings; with it only what it lists."""
    if allowed is None:
        parse: Iterable[str] = ("users", "everyone")
        listed: frozenset[int] = frozenset()
        replied = True
    else:
        parse = allowed.get("parse") or ()
        listed = frozenset(int(user_id) for user_id in allowed.get("users") or ())
        replied = bool(allowed.get("replied_user"))
        _check(parse, listed)
    found = [int(user_id) for user_id in USER_MENTION.findall(text)]
    wanted = [user_id for user_id in found if "users" in parse or user_id in listed]
    users = [user for user_id in dict.fromkeys(wanted) if (user := channel.world.users.get(user_id))]
    if replied and replied_to is not None and not replied_to.bot and replied_to not in users:
        users.append(replied_to)
    return Pings(users, "everyone" in parse and EVERYONE_MENTION.search(text) is not None)


def _check(parse: Iterable[str], listed: frozenset[int]) -> None:
    if listed and "users" in parse:
        raise invalid_form(
            "allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", "parse:users and users exclude each other."
        )
    if len(listed) > IDS_MAX:
        raise invalid_form("allowed_mentions.users", "BASE_TYPE_BAD_LENGTH", f"Must be {IDS_MAX} or fewer in length.")
