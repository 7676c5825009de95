"""Makes the animatic's MP4: camera moves, captions and a soft chord; runs inside the worker process only."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import av
from av.audio.stream import AudioStream
from av.filter import Graph
from av.packet import Packet
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from PIL import Image

from bot.adapters.media import scene
from bot.adapters.media.transcode import threads

FPS = 24
_SAMPLE_RATE = 44_100
_CROSSFADE_S = 0.4
_LANDSCAPES = 2


class _Planes(NamedTuple):
    """An RGB picture as video keeps it: brightness, and two colour planes of half the width and height."""

    y: Image.Image
    u: Image.Image
    v: Image.Image


class _Overlay(NamedTuple):
    x: int
    y: int
    planes: _Planes
    masks: tuple[Image.Image, Image.Image]


def render(
    *, target: Path, prompt: str, pictures: Sequence[str], width: int, height: int, duration_s: int, label: str
) -> None:
    """Write an MP4 of exactly that size (even numbers) and length; `pictures` are paths."""
    frame = (width, height)
    stages = [_planes(stage) for stage in _stages(prompt, pictures, frame)]
    overlays = [_overlay(patch) for patch in scene.captions(prompt, label, frame)]
    with av.open(target, "w", format="mp4", options={"movflags": "faststart"}) as output:
        video = _add_video(output, frame)
        audio = output.add_stream("aac", rate=_SAMPLE_RATE, layout="stereo")
        audio.bit_rate = 96_000
        sound = _sound(audio, prompt, duration_s)
        heard = next(sound, None)
        for number, planes in enumerate(_film(stages, frame, duration_s * FPS)):
            for overlay in overlays:
                _lay(overlay, planes)
            while heard is not None and (heard.pts or 0) / _SAMPLE_RATE <= number / FPS:
                output.mux(heard)
                heard = next(sound, None)
            output.mux(video.encode(_frame(planes, frame, number)))
        output.mux(video.encode())
        for packet in (heard, *sound) if heard is not None else ():
            output.mux(packet)


def _stages(prompt: str, pictures: Sequence[str], frame: tuple[int, int]) -> Iterator[Image.Image]:
    for path in pictures:
        with Image.open(path) as picture:
            yield scene.stage(picture, frame)
    if not pictures:
        yield from (scene.landscape(prompt, number, frame) for number in range(_LANDSCAPES))


def _add_video(output: av.container.OutputContainer, frame: tuple[int, int]) -> VideoStream:
    video = output.add_stream("libx264", rate=FPS)
    video.width, video.height = frame
    video.pix_fmt = "yuv420p"
    video.options = {"preset": "superfast", "crf": "23"}
    context = video.codec_context
    context.thread_count = threads()
    context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return video


def _planes(image: Image.Image) -> _Planes:
    converted = av.VideoFrame.from_bytes(image.convert("RGBA").tobytes(), *image.size).reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )
    y, u, v = (
        Image.frombuffer("L", (plane.width, plane.height), bytes(plane), "raw", "L", plane.line_size, 1).copy()
        for plane in converted.planes
    )
    return _Planes(y, u, v)


def _overlay(patch: scene.Patch) -> _Overlay:
    alpha = patch.image.getchannel("A")
    return _Overlay(patch.x, patch.y, _planes(patch.image.convert("RGB")), (alpha, alpha.reduce(2)))


def _lay(overlay: _Overlay, planes: _Planes) -> None:
    for number, plane in enumerate(planes):
        part = 1 if number == 0 else 2
        plane.paste(overlay.planes[number], (overlay.x // part, overlay.y // part), overlay.masks[part - 1])


def _film(stages: Sequence[_Planes], frame: tuple[int, int], count: int) -> Iterator[_Planes]:
    """Give every stage its share of `count` frames, each fading into the next."""
    shot = count / len(stages)
    fade = min(_CROSSFADE_S * FPS, shot / 3)
    for number in range(count):
        index = min(len(stages) - 1, int(number / shot))
        seen = _seen(stages[index], index, (number - index * shot + fade) / (shot + fade), frame)
        until_next = (index + 1) * shot - number
        if index + 1 < len(stages) and until_next < fade:
            following = _seen(stages[index + 1], index + 1, (fade - until_next) / (shot + fade), frame)
            share = 1 - until_next / fade
            seen = _Planes(*(Image.blend(now, then, share) for now, then in zip(seen, following, strict=True)))
        yield seen


def _seen(stage: _Planes, index: int, progress: float, frame: tuple[int, int]) -> _Planes:
    """Return what the camera sees of a stage; `progress` goes from 0 to 1 over its shot."""
    # The share of the stage that is seen, and where its middle is: in, across, out, back.
    near = 1 / scene.ROOM
    share, x, y = (
        (1 - (1 - near) * progress, 0.5, 0.5),
        (near + 0.02, 0.5 + (progress - 0.5) * (1 - near) * 0.85, 0.5),
        (near + (1 - near) * progress, 0.5, 0.5),
        (near + 0.02, 0.5 - (progress - 0.5) * (1 - near) * 0.85, 0.5),
    )[index % 4]
    moved = []
    for number, plane in enumerate(stage):
        part = 1 if number == 0 else 2
        wide, high = plane.width * share, plane.height * share
        left, top = plane.width * x - wide / 2, plane.height * y - high / 2
        left, top = max(0.0, min(left, plane.width - wide)), max(0.0, min(top, plane.height - high))
        size = (frame[0] // part, frame[1] // part)
        # The box may lie between pixels: that is what makes slow moves smooth.
        moved.append(plane.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + wide, top + high)))
    return _Planes(*moved)


def _frame(planes: _Planes, size: tuple[int, int], number: int) -> av.VideoFrame:
    frame = av.VideoFrame(*size, "yuv420p")
    for plane, image in zip(frame.planes, planes, strict=True):
        plane.update(image.tobytes("raw", "L", plane.line_size, 1))
    frame.pts = number
    return frame


def _sound(audio: AudioStream, prompt: str, duration_s: int) -> "Iterator[Packet[AudioStream]]":
    """Encode a soft major chord that fades in and out; the prompt chooses its key."""
    root_hz = 174.6 * 2 ** (hashlib.sha256(prompt.encode()).digest()[0] % 8 / 12)
    swell = f"0.09*min(1,t/0.5)*min(1,({duration_s}-t)/0.8)*(0.8+0.2*sin({math.tau * 0.4}*t))"
    sides = [
        f"{swell}*(" + "+".join(f"sin({math.tau * root_hz * step * drift:.4f}*t)" for step in (1, 1.26, 1.498, 2)) + ")"
        for drift in (1.0, 1.0015)
    ]
    graph = Graph()
    graph.threads = 1
    source = graph.add("aevalsrc", f"exprs={'|'.join(sides)}:sample_rate={_SAMPLE_RATE}:duration={duration_s}")
    sink = graph.add("abuffersink")
    source.link_to(sink)
    graph.configure()
    while True:
        try:
            frame = graph.pull()
        except (av.error.EOFError, av.error.BlockingIOError):
            break
        if isinstance(frame, av.AudioFrame):
            yield from audio.encode(frame)
    yield from audio.encode()
