"""The sandbox's Discord: REST, gateway and CDN on loopback, for unmodified discord.py."""

from bot.sandbox.discord.errors import SandboxRefusal
from bot.sandbox.discord.faults import Fault, Faults
from bot.sandbox.discord.files import Upload
from bot.sandbox.discord.interaction import Acknowledgement, Interaction
from bot.sandbox.discord.message import Button, Media, Message
from bot.sandbox.discord.openapi import Mismatch, OpenApi
from bot.sandbox.discord.people import Channel, Guild, Member, User
from bot.sandbox.discord.pipeline import Request
from bot.sandbox.discord.sandbox import SandboxDiscord

__all__ = [
    "Acknowledgement",
    "Button",
    "Channel",
    "Fault",
    "Faults",
    "Guild",
    "Interaction",
    "Media",
    "Member",
    "Message",
    "Mismatch",
    "OpenApi",
    "Request",
    "SandboxDiscord",
    "SandboxRefusal",
    "Upload",
    "User",
]
