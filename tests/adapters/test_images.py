"""Pictures as people attach them: refused with the reason and the figures, or repaired into what the gateways take."""

from io import BytesIO

import pytest
from PIL import Image

from bot.adapters.media.images import Prepared, prepare
from bot.domain.errors import PictureProblem, PictureRejected
from bot.domain.request import ATTACHMENT_BYTES_MAX, PIXELS_MAX, RATIOS, Mode, PictureRules
from tests import picture_samples as samples

REFERENCES = PictureRules(count_min=1, count_max=9, short_side_min_px=400, bytes_max=10_000_000)
ONE_IMAGE = PictureRules(count_min=1, count_max=1, short_side_min_px=300, bytes_max=10_000_000)
BYTES_MAX = 10_000_000


def as_reference(data: bytes, *, bytes_max: int = BYTES_MAX) -> Prepared:
    return prepare(data, position=2, rules=REFERENCES, ratio=None, mode=Mode.REFERENCE, bytes_max=bytes_max)


def as_image(data: bytes, ratio: str | None = None) -> Prepared:
    return prepare(data, position=1, rules=ONE_IMAGE, ratio=ratio, mode=Mode.IMAGE, bytes_max=BYTES_MAX)


def opened(prepared: Prepared) -> Image.Image:
    image = Image.open(BytesIO(prepared.data))
    image.load()
    return image


def near(colour: object, wanted: tuple[int, int, int]) -> bool:
    assert isinstance(colour, tuple)
    return all(abs(a - b) < 40 for a, b in zip(colour, wanted, strict=True))


def looks_like_drawn(image: Image.Image) -> bool:
    last = (image.width - 20, image.height - 20)
    return near(image.getpixel((20, 20)), (220, 30, 30)) and near(image.getpixel(last), (30, 40, 210))


def rejection(data: bytes) -> PictureRejected:
    with pytest.raises(PictureRejected) as caught:
        as_reference(data)
    assert caught.value.position == 2
    assert caught.value.mode is Mode.REFERENCE
    return caught.value


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", PictureProblem.EMPTY),
        (samples.SVG, PictureProblem.NOT_A_PICTURE),
        (samples.HTML, PictureProblem.NOT_A_PICTURE),
        (b"%PDF-1.7 not a picture", PictureProblem.NOT_A_PICTURE),
        (samples.truncated_jpeg(), PictureProblem.DAMAGED),
        (samples.jpeg()[:30], PictureProblem.DAMAGED),
        (samples.png()[:60], PictureProblem.DAMAGED),
        (samples.heic()[:200], PictureProblem.DAMAGED),
        (samples.balloon_webp()[:5_000], PictureProblem.DAMAGED),
    ],
)
def test_what_is_no_whole_picture_is_refused_with_the_reason(data: bytes, problem: PictureProblem):
    assert rejection(data).problem is problem


def test_a_file_over_the_limit_is_refused_with_its_size():
    refused = rejection(bytes(26_000_000))

    assert refused.problem is PictureProblem.TOO_LARGE
    assert (refused.measured, refused.limit) == (26_000_000, ATTACHMENT_BYTES_MAX)


@pytest.mark.parametrize(("width", "height"), [(12_000, 10_000), (30_000, 30_000), (7_072, 7_072)])
def test_a_bomb_is_refused_from_its_header_with_its_pixels(width: int, height: int):
    data = samples.bomb_png(width, height)
    refused = rejection(data)

    assert len(data) < 200_000
    assert refused.problem is PictureProblem.TOO_MANY_PIXELS
    assert (refused.measured, refused.limit) == (width * height, PIXELS_MAX)


@pytest.mark.parametrize("size", [(399, 900), (900, 399)])
def test_a_reference_under_400_pixels_is_refused_with_its_size(size: tuple[int, int]):
    refused = rejection(samples.jpeg(*size))

    assert refused.problem is PictureProblem.TOO_SMALL
    assert (refused.width, refused.height, refused.limit) == (*size, 400)


def test_299_pixels_are_refused_as_a_first_image_and_300_taken():
    with pytest.raises(PictureRejected) as caught:
        as_image(samples.jpeg(299, 500))

    assert (caught.value.width, caught.value.height, caught.value.limit) == (299, 500, 300)
    assert as_image(samples.jpeg(300, 500)).width == 300


def test_a_small_picture_is_measured_upright_and_before_any_padding():
    image = samples.drawn(900, 390)
    exif = Image.Exif()
    exif[0x0112] = 6

    refused = rejection(samples.encoded(image, "JPEG", exif=exif))

    assert (refused.width, refused.height) == (390, 900)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_turned_picture_comes_out_upright(orientation: int, kind: str):
    prepared = as_reference(samples.turned(orientation, kind))

    assert (prepared.width, prepared.height) == (800, 600)
    assert looks_like_drawn(opened(prepared))


@pytest.mark.parametrize(
    "data",
    [
        samples.heic(),
        samples.encoded(samples.drawn(), "AVIF"),
        samples.animated_gif(),
        samples.encoded(samples.drawn(), "BMP"),
        samples.encoded(samples.drawn(), "TIFF"),
        samples.encoded(samples.drawn(), "TIFF", compression="tiff_lzw"),
        samples.encoded(samples.drawn(), "WEBP"),
        samples.encoded(samples.drawn().convert("P"), "PNG"),
        samples.cmyk_jpeg(),
    ],
    ids=["heic", "avif", "gif", "bmp", "tiff", "tiff-lzw", "webp", "palette", "cmyk"],
)
def test_other_kinds_become_a_clean_jpeg_or_png(data: bytes):
    prepared = as_reference(data)
    image = opened(prepared)

    assert prepared.content_type == {"JPEG": "image/jpeg", "PNG": "image/png"}[image.format or ""]
    assert image.mode == "RGB"
    assert image.size == (prepared.width, prepared.height)
    assert looks_like_drawn(image)
    assert prepared.note == ""


def test_sixteen_bits_keep_their_shades():
    image = opened(as_reference(samples.sixteen_bit_png())).convert("L")

    assert abs(image.getpixel((400, 300)) - 128) < 6
    assert image.getpixel((400, 20)) < 20


def test_transparency_becomes_white():
    image = opened(as_reference(samples.transparent_png()))

    assert near(image.getpixel((5, 5)), (255, 255, 255))
    assert near(image.getpixel((500, 340)), (206, 52, 58))


@pytest.mark.parametrize("data", [samples.rotated_jpeg(), samples.talkative_png()], ids=["jpeg", "png"])
def test_no_metadata_survives(data: bytes):
    prepared = as_reference(data)
    image = opened(prepared)

    assert not dict(image.getexif())
    assert not {"exif", "icc_profile", "xmp", "comment", "Comment", "XML:com.adobe.xmp"} & set(image.info)
    for trace in (b"SECRET", b"Exif", b"GPS", b"http://ns.adobe.com", b"ICC_PROFILE"):
        assert trace not in prepared.data


def test_a_photo_with_gps_is_upright_afterwards():
    prepared = as_reference(samples.rotated_jpeg())

    assert (prepared.width, prepared.height) == (900, 1200)


def test_a_colour_profile_is_applied_before_it_is_dropped():
    # A profile whose red and blue are exchanged: applied, blue becomes red.
    from PIL import ImageCms

    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = plain.replace(b"rXYZ", b"tmp0").replace(b"bXYZ", b"rXYZ").replace(b"tmp0", b"bXYZ")
    data = samples.encoded(Image.new("RGB", (500, 500), (20, 20, 230)), "PNG", icc_profile=swapped)

    red, _, blue = opened(as_reference(data)).getpixel((250, 250))  # type: ignore[misc]

    assert red > 150 > blue


@pytest.mark.parametrize(
    ("size", "note"),
    [((500, 1500), "padded to 1:2.5"), ((1500, 500), "padded to 2.5:1"), ((10_000, 410), "padded to 2.5:1")],
)
def test_a_too_elongated_picture_is_padded_and_says_so(size: tuple[int, int], note: str):
    prepared = as_reference(samples.jpeg(*size))

    assert prepared.note == note
    assert max(prepared.width, prepared.height) / min(prepared.width, prepared.height) <= 2.5
    assert min(prepared.width, prepared.height) >= 400


def test_padding_keeps_the_whole_picture_in_the_middle():
    image = opened(as_image(samples.jpeg(600, 600), "16:9"))

    assert image.size == (1067, 600)
    assert near(image.getpixel((1067 // 2 - 280, 20)), (220, 30, 30))
    assert near(image.getpixel((1067 // 2 + 280, 580)), (30, 40, 210))


@pytest.mark.parametrize(
    ("size", "ratio", "wanted", "note"),
    [
        ((1600, 900), "16:9", (1600, 900), ""),
        ((1366, 768), "16:9", (1366, 768), ""),  # within one per cent
        ((1500, 1000), "16:9", (1500, 844), "cropped to 16:9"),
        ((1000, 1250), "1:1", (1000, 1000), "cropped to 1:1"),  # exactly a fifth is lost
        ((1000, 1260), "1:1", (1260, 1260), "padded to 1:1"),
        ((800, 600), "9:16", (800, 1423), "padded to 9:16"),
        ((450, 310), "16:9", (533, 300), "cropped to 16:9"),  # never under the least short side
        ((1000, 3000), None, (1200, 3000), "padded to 1:2.5"),
    ],
)
def test_a_given_ratio_crops_a_little_or_pads(
    size: tuple[int, int], ratio: str | None, wanted: tuple[int, int], note: str
):
    prepared = as_image(samples.jpeg(*size), ratio)
    scale = min(1.0, 2560 / max(wanted))

    assert prepared.note == note
    assert prepared.width == pytest.approx(wanted[0] * scale, abs=1)
    assert prepared.height == pytest.approx(wanted[1] * scale, abs=1)


@pytest.mark.parametrize("ratio", RATIOS)
def test_every_ratio_is_reached_within_one_per_cent(ratio: str):
    prepared = as_image(samples.jpeg(1000, 800), ratio)
    wide, high = (int(part) for part in ratio.split(":"))

    assert prepared.width / prepared.height == pytest.approx(wide / high, rel=0.01)


def test_references_keep_their_shape_whatever_the_ratio():
    data = samples.jpeg(1000, 800)
    prepared = prepare(data, position=1, rules=REFERENCES, ratio="9:16", mode=Mode.REFERENCE, bytes_max=BYTES_MAX)

    assert (prepared.width, prepared.height, prepared.note) == (1000, 800, "")


def test_a_large_picture_is_made_smaller_without_a_word():
    prepared = as_reference(samples.encoded(samples.drawn(3600, 2400), "JPEG"))

    assert (prepared.width, prepared.height, prepared.note) == (2560, 1707, "")


def test_too_many_bytes_are_brought_under_the_limit():
    data = samples.encoded(samples.noise(2400, 1800), "JPEG", quality=98)
    prepared = as_reference(data, bytes_max=1_000_000)

    assert len(data) > 5_000_000
    assert len(prepared.data) <= 1_000_000
    assert min(prepared.width, prepared.height) >= 400
