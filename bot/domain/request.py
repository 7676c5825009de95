"""What a person asks for: modes, options, pictures, and the place and person the request came from."""

from dataclasses import dataclass
from enum import StrEnum

DURATION_MIN_S = 3
DURATION_MAX_S = 15
DURATION_DEFAULT_S = 5
PICTURES_MAX = 9
ATTACHMENT_BYTES_MAX = 25_000_000
PIXELS_MAX = 50_000_000
RATIO_DEFAULT = "16:9"
RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4", "4:5", "5:4", "21:9", "9:21")
GATEWAY_AUTO = "auto"
# HappyHorse's documented range (upstream API reference, read 2026-11-20).
SEED_MAX = 2_147_483_647


class Mode(StrEnum):
    """The three ways to make a video."""

    TEXT = "text"
    IMAGE = "image"
    REFERENCE = "reference"


class Resolution(StrEnum):
    """The two sizes that every gateway sells, in Gallop's own spelling."""

    P720 = "720p"
    P1080 = "1080p"


# The fewest and the most pictures of each mode, whatever the gateway.
PICTURE_COUNTS = {Mode.TEXT: (0, 0), Mode.IMAGE: (1, 1), Mode.REFERENCE: (1, PICTURES_MAX)}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A picture as Discord gives it, unchecked."""

    address: str
    name: str
    bytes_count: int


@dataclass(frozen=True, slots=True)
class PictureRules:
    """What a gateway's model takes as pictures.

    `elongation_max` is long side over short side. Everything over `bytes_max`, `pixels_max` or `elongation_max` is
    repaired; only a short side under `short_side_min_px` refuses a picture.
    """

    count_min: int
    count_max: int
    short_side_min_px: int
    bytes_max: int
    elongation_max: float = 2.5


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that passed the checks and lies in the library under `name`.

    `note` is a short phrase for the card when the picture was visibly changed ("padded to 1:2.5"), else empty.
    """

    name: str
    content_type: str
    width: int
    height: int
    bytes_count: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command was given. `guild_id` is None in a direct message.

    `missing` lists what the bot may not do there, in Discord's own words ("Attach Files"); `guild_owner_id` is None
    where unknown. `parent_id` is a thread's channel. `role_ids` are the roles that the person has there.
    """

    channel_id: int
    guild_id: int | None = None
    guild_owner_id: int | None = None
    missing: tuple[str, ...] = ()
    parent_id: int | None = None
    role_ids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Ask:
    """One spending command as it was typed; nothing is checked yet. An option that was not given is None.

    `gateway` is a gateway's name or ``auto``.
    """

    interaction_id: int
    user_id: int
    place: Place
    mode: Mode
    prompt: str
    attachments: tuple[Attachment, ...] = ()
    resolution: Resolution | None = None
    ratio: str | None = None
    duration_s: int | None = None
    gateway: str | None = None
    seed: int | None = None
    negative_prompt: str | None = None
    private: bool = False


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """What will be bought: checked, priced and bound to one gateway.

    `prompt` is in Gallop's neutral form (pictures are named ``[Image 1]``). `ratio` is None where the gateway takes
    none (image mode). `pinned` says that the person named the gateway.
    """

    mode: Mode
    prompt: str
    resolution: Resolution
    ratio: str | None
    duration_s: int
    gateway: str
    pinned: bool
    price_microusd: int
    seed: int | None = None
    negative_prompt: str | None = None
    private: bool = False
