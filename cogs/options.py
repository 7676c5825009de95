"""The options of the spending commands, declared once: their descriptions, choices, ranges and lists."""

import logging
from collections.abc import Callable
from typing import TypeVar

import discord
from discord import app_commands

from bot.domain.errors import OptionRejected, StoreFailed
from bot.domain.request import (
    DURATION_DEFAULT_S,
    DURATION_MAX_S,
    DURATION_MIN_S,
    GATEWAY_AUTO,
    PICTURES_MAX,
    RATIO_DEFAULT,
    RATIOS,
    SEED_MAX,
    Ask,
    Mode,
    Resolution,
)
from bot.domain.video_service import VideoService
from bot.presentation.choices import auto_choice, gateway_choice
from cogs.places import place_of

log = logging.getLogger(__name__)

# Discord's longest text option (OpenAPI, ApplicationCommandStringOption.max_length). The service weighs the prompt.
Prompt = app_commands.Range[str, 1, 6000]
Duration = app_commands.Range[int, DURATION_MIN_S, DURATION_MAX_S]
Seed = app_commands.Range[int, 0, SEED_MAX]
NegativePrompt = app_commands.Range[str, 1, 1000]

_COMMON = {
    "resolution": "Size of the video. Default: the server's, else 720p.",
    "duration": (
        f"Seconds of video, {DURATION_MIN_S} to {DURATION_MAX_S}. Default: the server's, else {DURATION_DEFAULT_S}."
    ),
    "gateway": "Who makes it; the list shows the price. Default: the server's, else auto, the cheapest.",
    "private": "Only you see it: card and video come by direct message. Default: no.",
}
_RATIO = f"Shape of the video. Default: the server's, else {RATIO_DEFAULT}."
_RATIO_OF_PICTURE = "Shapes the picture first, by cropping or padding. Default: the picture as it is."
_PROMPT = "What happens in the video. Required."
_DESCRIPTIONS = {
    Mode.TEXT: {"prompt": _PROMPT, "ratio": _RATIO, **_COMMON},
    Mode.IMAGE: {
        "image": "The picture the video begins with. Required.",
        "prompt": "What moves, and how. Required.",
        "ratio": _RATIO_OF_PICTURE,
        **_COMMON,
    },
    Mode.REFERENCE: {
        "prompt": "What happens; call the pictures [Image 1], [Image 2]. Required.",
        "image1": "The first picture. Required.",
        **{f"image{n}": f"Picture {n}. Default: none." for n in range(2, PICTURES_MAX + 1)},
        "ratio": _RATIO,
        **_COMMON,
        # Only the reference model of a gateway (PixelDojo) has these two.
        "seed": f"Fixes what is left to chance, 0 to {SEED_MAX}. Default: a new seed each time.",
        "negative_prompt": "What must not be in the video. Default: nothing.",
    },
}
# The longest list Discord shows.
CHOICES_MAX = 25

CommandT = TypeVar("CommandT", bound=Callable[..., object])


def spending_options(mode: Mode) -> Callable[[CommandT], CommandT]:
    """Describe a spending command's options and list their choices."""
    resolutions = [app_commands.Choice(name=value, value=value) for value in Resolution]
    ratios = [app_commands.Choice(name=value, value=value) for value in RATIOS]

    def declare(command: CommandT) -> CommandT:
        described = app_commands.describe(**_DESCRIPTIONS[mode])(command)
        return app_commands.choices(resolution=resolutions, ratio=ratios)(described)

    return declare


def resolution_of(value: str) -> Resolution:
    """Return the resolution of a typed value.

    Raises:
        OptionRejected: there is no such resolution; Discord itself lets none but the choices through.
    """
    for resolution in Resolution:
        if resolution.value == value:
            return resolution
    raise OptionRejected("resolution", value, "", tuple(resolution.value for resolution in Resolution))


async def gateway_choices(
    service: VideoService, interaction: discord.Interaction, mode: Mode, typed: str
) -> list[app_commands.Choice[str]]:
    """Return every gateway with its price for the options chosen so far, or why it cannot be taken."""
    try:
        made, taken = await service.offers_and_auto(_ask_so_far(interaction, mode))
    except StoreFailed:
        log.exception("gateways not listed interaction_id=%s", interaction.id)
        return []
    rows = [
        (auto_choice(taken), GATEWAY_AUTO),
        *((gateway_choice(offer), offer.capabilities.gateway) for offer in made),
    ]
    wanted = typed.strip().casefold()
    return [
        app_commands.Choice(name=name, value=value)
        for name, value in rows
        if wanted in name.casefold() or wanted in value
    ][:CHOICES_MAX]


def _ask_so_far(interaction: discord.Interaction, mode: Mode) -> Ask:
    """Read what has been chosen; half-typed values count as not chosen. An option not there reads as None."""
    chosen = interaction.namespace
    resolutions = {resolution.value: resolution for resolution in Resolution}
    return Ask(
        interaction_id=interaction.id,
        user_id=interaction.user.id,
        place=place_of(interaction),
        mode=mode,
        prompt="",
        resolution=resolutions.get(chosen.resolution),
        ratio=chosen.ratio if chosen.ratio in RATIOS else None,
        duration_s=chosen.duration if isinstance(chosen.duration, int) else None,
        seed=chosen.seed if isinstance(chosen.seed, int) else None,
        negative_prompt=chosen.negative_prompt or None,
    )
