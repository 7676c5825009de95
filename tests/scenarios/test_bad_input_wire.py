"""Bad and strange input over the wire: refused in exact words with nothing held, or repaired for the gateways."""

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from PIL import Image

from bot.domain.prompt import weight
from bot.sandbox.discord import Message, SandboxRefusal, Upload
from bot.sandbox.gateways.books import SandboxJob
from tests import picture_samples as samples
from tests.scenarios.theatre import Theatre, has_video, theatre

# One app plays for the whole file.
pytestmark = [pytest.mark.wire, pytest.mark.asyncio(loop_scope="module")]

SIZE = (800, 600)
NOTHING = "Nothing was held."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def t(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Theatre]:
    unlimited = dict.fromkeys(("quota_user_day_usd", "quota_bot_month_usd"), "unlimited")
    async with theatre(tmp_path_factory.mktemp("theatre"), **unlimited, jobs_per_user="20") as made:
        yield made


async def made_from(t: Theatre, prompt: str, upload: Upload | None = None) -> tuple[SandboxJob, Message]:
    """Make a video; return the job as the gateway had it, and the video's message."""
    options = {"prompt": prompt, "gateway": "hiapi", "duration": 3}
    uploads = {"image1": upload} if upload else {}
    interaction = await t.command(f"video {'reference' if upload else 'text'}", options, uploads=uploads)
    answer = await interaction.answer()
    assert "on hold" in answer.text, answer.text
    video = await t.channel.wait_message(lambda message: has_video(message) and message.id > interaction.id, 20)
    return list(t.gateways.hiapi.jobs.values())[-1], video


async def seen_by_gateway(t: Theatre, upload: Upload) -> tuple[Image.Image, Message]:
    """Return the picture as the gateway fetched it, and the card it was posted with."""
    job, video = await made_from(t, "A boat", upload)
    (data,) = job.pictures
    picture = Image.open(BytesIO(data))
    picture.load()
    assert video.reference is not None
    return picture, video.reference


def looks_like_drawn(picture: Image.Image) -> bool:
    """Say whether it shows `samples.drawn()` upright: red upper left, blue lower right, green elsewhere."""
    width, height = picture.size
    corners = {
        "red": picture.getpixel((width // 10, height // 10)),
        "blue": picture.getpixel((width * 9 // 10, height * 9 // 10)),
        "green": picture.getpixel((width * 9 // 10, height // 10)),
    }
    return all(
        colour[channel] == max(colour) and colour[channel] > 120
        for channel, colour in zip((0, 2, 1), corners.values(), strict=True)
    )


REPAIRED = {
    "HEIC": Upload("phone.heic", samples.heic()),
    "AVIF": Upload("web.avif", samples.encoded(samples.drawn(), "AVIF")),
    "animated GIF": Upload("fun.gif", samples.animated_gif()),
    "BMP": Upload("old.bmp", samples.encoded(samples.drawn(), "BMP")),
    "TIFF": Upload("scan.tiff", samples.encoded(samples.drawn(), "TIFF")),
    "CMYK": Upload("print.jpg", samples.cmyk_jpeg()),
    "wrong extension": Upload("notes.txt", samples.jpeg()),
    "wrong content type": Upload("really_a_gif.png", samples.animated_gif()),
    "turned by EXIF": Upload("held.jpg", samples.turned(6)),
}


@pytest.mark.parametrize("kind", list(REPAIRED))
async def test_what_is_not_a_plain_picture_reaches_the_gateway_as_one(t: Theatre, kind: str) -> None:
    picture, _ = await seen_by_gateway(t, REPAIRED[kind])

    assert picture.format in {"JPEG", "PNG"}
    assert picture.mode == "RGB"
    assert picture.size == ((640, 480) if kind == "HEIC" else SIZE)
    assert looks_like_drawn(picture)
    assert len(picture.getexif()) == 0


async def test_a_sixteen_bit_picture_keeps_its_shades(t: Theatre) -> None:
    picture, _ = await seen_by_gateway(t, Upload("measured.png", samples.sixteen_bit_png()))

    shades = [picture.convert("L").getpixel((400, y)) for y in (5, 300, 595)]
    assert shades == sorted(shades)
    assert shades[0] < 20
    assert 100 < shades[1] < 156
    assert shades[2] > 235


async def test_a_transparent_picture_stands_on_white(t: Theatre) -> None:
    picture, _ = await seen_by_gateway(t, Upload("lighthouse.png", samples.transparent_png()))

    assert picture.mode == "RGB"
    assert all(value > 250 for value in picture.getpixel((2, 998)))


async def test_a_phones_picture_arrives_upright_and_without_its_place(t: Theatre) -> None:
    photo = samples.rotated_jpeg()
    assert Image.open(BytesIO(photo)).getexif().get_ifd(0x8825)

    picture, _ = await seen_by_gateway(t, Upload("phone.jpg", photo))

    assert picture.size == (900, 1200)
    assert len(picture.getexif()) == 0
    assert not picture.getexif().get_ifd(0x8825)
    assert b"Exif" not in list(t.gateways.hiapi.jobs.values())[-1].pictures[0]


async def test_an_elongated_picture_is_padded_and_the_card_says_so(t: Theatre) -> None:
    picture, card = await seen_by_gateway(t, Upload("tower.jpg", samples.jpeg(500, 1500)))

    assert picture.height / picture.width == pytest.approx(2.5, abs=0.01)
    assert any("Picture 1 padded to 1:2.5" in text for text in card.edits)


class Bad(NamedTuple):
    """A picture that is refused, and how."""

    upload: Upload
    said: str
    mode: str = "reference"


NO_PICTURE = f"Picture 1 is no picture that can be used. {NOTHING}\nSend it as JPEG, PNG or WEBP."
REFUSED = {
    "SVG": Bad(Upload("drawing.svg", samples.SVG), NO_PICTURE),
    "HTML": Bad(Upload("photo.jpg", samples.HTML), NO_PICTURE),
    "0 bytes": Bad(Upload("empty.png", b""), f"Picture 1 is empty: 0 bytes. {NOTHING}\nAttach it again."),
    "truncated": Bad(
        Upload("half.jpg", samples.truncated_jpeg()),
        f"Picture 1 is damaged or incomplete. {NOTHING}\nSave it anew and attach it again.",
    ),
    "299 px": Bad(
        Upload("small.jpg", samples.jpeg(299, 500)),
        f"Picture 1 is 299 × 500 pixels; a picture to animate needs 300 on the short side. {NOTHING}\n"
        "Send a larger copy.",
        "image",
    ),
    "399 px": Bad(
        Upload("small.jpg", samples.jpeg(399, 900)),
        f"Picture 1 is 399 × 900 pixels; references need 400 on the short side. {NOTHING}\nSend a larger copy.",
    ),
    "a bomb": Bad(
        Upload("bomb.png", samples.bomb_png(10_000, 5_001)),
        f"Picture 1 has 50.1 megapixels; the limit is 50 megapixels. {NOTHING}\nSend a smaller copy.",
    ),
    "26 MB": Bad(
        Upload("large.jpg", bytes(26_000_000)),
        f"Picture 1 has 26 MB; the limit is 25 MB. {NOTHING}\nSend a smaller copy.",
    ),
}


@pytest.mark.parametrize("kind", list(REFUSED))
async def test_a_picture_that_cannot_be_used_is_refused_with_the_reason(t: Theatre, kind: str) -> None:
    bad = REFUSED[kind]
    rich = t.discord.add_user("rich", nitro=True)
    t.guild.add_member(rich)
    option = "image" if bad.mode == "image" else "image1"
    options = {"prompt": "A boat", "gateway": "hiapi"}

    said = await t.said(f"video {bad.mode}", options, user=rich, uploads={option: bad.upload})

    assert said == bad.said
    assert await t.app.store.jobs_of(rich.id, limit=1) == []


async def test_a_gap_among_the_picture_options_is_refused(t: Theatre) -> None:
    pictures = {"image1": samples.jpeg(), "image3": samples.jpeg()}

    said = await t.said("video reference", {"prompt": "[Image 3] runs", "gateway": "hiapi"}, pictures=pictures)

    assert said == (
        "`image2` is empty, but a later one is filled. Nothing was held.\n"
        "Fill them in order: [Image 2] in the prompt is the picture in `image2`."
    )


async def test_the_bad_picture_among_good_ones_is_named(t: Theatre) -> None:
    pictures = {"image1": samples.jpeg(), "image2": samples.jpeg(), "image3": samples.jpeg(380, 512)}

    said = await t.said("video reference", {"prompt": "[Image 1] and [Image 3]", "gateway": "hiapi"}, pictures=pictures)

    assert said.startswith("Picture 3 is 380 × 512 pixels; references need 400 on the short side.")


@pytest.mark.parametrize(
    ("path", "options", "pictures"),
    [
        ("video image", {}, {}),
        ("video reference", {}, {}),
        ("video reference", {}, {f"image{n}": b"" for n in range(1, 11)}),
        ("video text", {"duration": 2}, {}),
        ("video text", {"duration": 16}, {}),
        ("video text", {"prompt": "a" * 6_001}, {}),
    ],
    ids=["image without one", "reference without one", "ten references", "2 s", "16 s", "6,001 characters"],
)
async def test_discord_itself_stops_what_the_options_forbid(
    t: Theatre, path: str, options: dict[str, Any], pictures: dict[str, bytes]
) -> None:
    with pytest.raises(SandboxRefusal):
        await t.command(path, {"prompt": "A boat", **options}, pictures=pictures)


TOO_LONG = "\nA Chinese character counts two. Shorten it: a gateway would cut it and still bill it."
BLANK = f"The prompt is blank. {NOTHING}\nSay what happens in the video."


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a" * 5_001, f"The prompt counts 5,001 characters; the limit is 5,000. {NOTHING}{TOO_LONG}"),
        ("船" * 2_501, f"The prompt counts 5,002 characters; the limit is 5,000. {NOTHING}{TOO_LONG}"),
        ("   \n\t", BLANK),
        ("\u200b\u2060\ufeff\u3164", BLANK),
        ("\x00\x01", BLANK),
        (
            "[Image 3] sails",
            f"The prompt names [Image 3], but no picture is attached. {NOTHING}\n`/video reference` takes pictures.",
        ),
    ],
    ids=["5,001 letters", "2,501 Chinese", "blank", "invisible", "controls", "no such picture"],
)
async def test_a_prompt_that_cannot_be_used_is_refused_in_exact_words(t: Theatre, prompt: str, said: str) -> None:
    assert await t.said("video text", {"prompt": prompt, "gateway": "hiapi"}) == said


FULL = "船" * 2_000 + "a boat\n" * 142 + "bridge"

STRANGE = {
    "weighs exactly 5,000": (FULL, FULL),
    "pings everybody": ("@everyone @here look", "@everyone @here look"),
    "Markdown": ("# **Loud** ||hidden|| [link](https://example.org) `code`", None),
    "right to left": ("قارب من ورق يبحر", None),
    "emoji": ("👩‍👩‍👧 sail 🏳️‍🌈 <:horse:123456789012345678>", None),
    "NUL": ("A paper\x00 boat\x07", "A paper boat"),
}


@pytest.mark.parametrize("kind", list(STRANGE))
async def test_a_strange_prompt_reaches_the_gateway_as_it_was_meant_and_harms_nobody(t: Theatre, kind: str) -> None:
    prompt, meant = STRANGE[kind]

    job, video = await made_from(t, prompt)
    card = video.reference

    assert job.asked.prompt == (meant or prompt)
    assert card is not None
    for message in (video, card):
        assert message.pings == []
        assert not message.pings_everyone
        for text in (message.text, *message.edits):
            assert "](https://" not in text
            assert "@everyone" not in text
            assert "\x00" not in text


async def test_an_override_of_direction_ends_with_the_prompt(t: Theatre) -> None:
    _, video = await made_from(t, "\u202ereversed\u2069 and out")

    # Inside the isolate an override stands; the isolate's own end, typed by a person, does not.
    assert "\u2068\u202ereversed and out\u2069" in video.text


async def test_the_full_prompt_weighs_exactly_what_a_gateway_takes() -> None:
    assert weight(FULL) == 5_000


async def test_pictures_typed_loosely_become_the_gateways_own_words(t: Theatre) -> None:
    job, _ = await made_from(t, "[image1] in the rain", Upload("boat.png", samples.png()))

    assert job.asked.prompt == "[Image 1] in the rain"
