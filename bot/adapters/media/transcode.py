"""Measures, fits and takes frames of videos with PyAV; runs inside the worker process only."""

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream
from PIL import Image

from bot.adapters.media.facts import VideoFacts, streams_play

# What a download lets through is MP4. FFmpeg's other readers stay shut: some open the files and addresses that a file
# names. MP4 itself can name a file with its data, which FFmpeg opens only when told (enable_drefs).
_OPENING = {"format_whitelist": "mov", "protocol_whitelist": "file", "enable_drefs": "0"}
# Labels such as the AIGC tag that the law asks for are kept; the muxer only does so when told.
_MP4 = {"movflags": "+faststart+use_metadata_tags"}
_CONTAINERS_OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_AUDIO_BPS = 128_000
_THREADS_MAX = 4
# Under this many bits per pixel H.264 looks better with fewer pixels.
_BITS_PER_PIXEL_MIN = 0.04
# Share of the limit aimed at, and whether to go down to 720 lines: try by try.
_TRIES = ((0.97, False), (0.87, False), (0.75, True))


class Unusable(Exception):
    """The file is no video that can be played, or cannot be made to fit."""


def _opened(path: Path) -> InputContainer:
    return av.open(path, format="mov", options=_OPENING)


def measure(path: Path) -> VideoFacts:
    """Measure a file; its first frame is really decoded."""
    order = _boxes(path)
    with _opened(path) as container:
        stream = _video(container)
        if next(container.decode(stream), None) is None:
            raise Unusable("no frame")
        audio = container.streams.audio[0] if container.streams.audio else None
        duration_s = (container.duration or 0) / av.time_base
        if duration_s <= 0:
            raise Unusable("no duration")
        quicktime = container.metadata.get("major_brand", "").startswith("qt")
        return VideoFacts(
            container="mov" if quicktime else "mp4",
            video_codec=stream.codec_context.name,
            audio_codec=audio.codec_context.name if audio else None,
            pix_fmt=stream.codec_context.pix_fmt or "",
            width=stream.codec_context.width,
            height=stream.codec_context.height,
            fps=float(stream.average_rate or 0),
            duration_s=duration_s,
            fast_start="moov" in order and "mdat" in order and order.index("moov") < order.index("mdat"),
            bytes_count=path.stat().st_size,
        )


def _boxes(path: Path) -> list[str]:
    """Return the types of an MP4's outermost boxes, in order; empty for another kind of file."""
    size, position = path.stat().st_size, 0
    order: list[str] = []
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            head = file.read(16)
            if len(head) < 8 or (not order and head[4:8] != b"ftyp"):
                break
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            elif length == 0:
                length = size - position
            order.append(head[4:8].decode("latin-1"))
            if length < 8 or position + length > size:
                raise Unusable("cut short")
            position += length
    return order


def _video(container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise Unusable("no video stream")
    stream = container.streams.video[0]
    stream.codec_context.thread_count = threads()
    return stream


def fit(path: Path, target: Path, bytes_max: int) -> VideoFacts:
    """Write `target` so that it plays inline and has at most `bytes_max` bytes; return what was measured of it."""
    facts = measure(path)
    if streams_play(facts) and facts.bytes_count <= bytes_max:
        _remux(path, target)
        fitted = measure(target)
        if fitted.bytes_count <= bytes_max:
            return fitted
    for share, small in _TRIES:
        _encode(path, target, facts, budget_bps=share * bytes_max * 8 / facts.duration_s, small=small)
        fitted = measure(target)
        if fitted.bytes_count <= bytes_max:
            return fitted
    raise Unusable("does not fit")


def _remux(path: Path, target: Path) -> None:
    with _opened(path) as source, av.open(target, "w", format="mp4", options=_MP4) as output:
        _copy_tags(source, output)
        video = _video(source)
        copies: dict[int, VideoStream | AudioStream] = {video.index: output.add_stream_from_template(video)}
        if source.streams.audio:
            audio = source.streams.audio[0]
            copies[audio.index] = output.add_stream_from_template(audio)
        for packet in source.demux([source.streams[index] for index in copies]):
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                output.mux(packet)


def _copy_tags(source: InputContainer, output: OutputContainer) -> None:
    output.metadata.update({k: v for k, v in source.metadata.items() if k not in _CONTAINERS_OWN_TAGS})


def _encode(path: Path, target: Path, facts: VideoFacts, *, budget_bps: float, small: bool) -> None:
    with _opened(path) as source, av.open(target, "w", format="mp4", options=_MP4) as output:
        _copy_tags(source, output)
        decoded = _video(source)
        video_bps = max(50_000, int(budget_bps - (_AUDIO_BPS if facts.audio_codec else 0)))
        encoded = _add_video(output, decoded, facts, video_bps=video_bps, small=small)
        streams: list[VideoStream | AudioStream] = [decoded]
        audio_out: AudioStream | None = None
        if source.streams.audio:
            streams.append(source.streams.audio[0])
            audio_out = output.add_stream("aac", rate=source.streams.audio[0].rate, layout="stereo")
            audio_out.bit_rate = _AUDIO_BPS
        for packet in source.demux(streams):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    frame.pict_type = PictureType.NONE  # else the source's choice of key frames is forced on us
                    output.mux(encoded.encode(frame))
                elif isinstance(frame, av.AudioFrame) and audio_out is not None:
                    output.mux(audio_out.encode(frame))
        output.mux(encoded.encode())
        if audio_out is not None:
            output.mux(audio_out.encode())


def _add_video(
    output: OutputContainer, decoded: VideoStream, facts: VideoFacts, *, video_bps: int, small: bool
) -> VideoStream:
    """Add an H.264 stream of constant quality that never takes more than `video_bps`."""
    crowded = video_bps / (facts.width * facts.height * (facts.fps or 24)) < _BITS_PER_PIXEL_MIN
    factor = min(1.0, 720 / min(facts.width, facts.height)) if small or crowded else 1.0
    encoded = output.add_stream("libx264", rate=decoded.average_rate or 24)
    encoded.width, encoded.height = _even(facts.width * factor), _even(facts.height * factor)
    encoded.pix_fmt = "yuv420p"
    context = encoded.codec_context
    context.time_base = decoded.time_base or context.time_base
    context.thread_count = threads()
    for name in ("color_range", "color_primaries", "color_trc", "colorspace"):
        setattr(context, name, getattr(decoded.codec_context, name))
    # A small buffer: with a large one a short video could be well over its average.
    encoded.options = {"preset": "veryfast", "crf": "23", "maxrate": str(video_bps), "bufsize": str(video_bps // 2)}
    return encoded


def _even(pixels: float) -> int:
    return max(2, round(pixels / 2) * 2)


def threads() -> int:
    """Return how many threads a codec may use: each costs memory, and the child's is bounded."""
    return min(_THREADS_MAX, os.cpu_count() or 1)


def last_frame(path: Path) -> bytes:
    """Return the last picture of a video as PNG."""
    with _opened(path) as container:
        stream = _video(container)
        last = None
        # From a second before the end; from the beginning where nothing comes of that.
        for start_s in ((container.duration or 0) / av.time_base - 1, 0.0):
            for frame in _frames_from(container, stream, max(0.0, start_s)):
                last = frame
            if last is not None:
                return _png(last)
    raise Unusable("no frame")


def _png(frame: av.VideoFrame) -> bytes:
    plane = frame.reformat(format="rgb24").planes[0]
    size = (frame.width, frame.height)
    buffer = BytesIO()
    Image.frombuffer("RGB", size, bytes(plane), "raw", "RGB", plane.line_size, 1).save(buffer, "PNG")
    return buffer.getvalue()


def _frames_from(container: InputContainer, stream: VideoStream, start_s: float) -> Iterator[av.VideoFrame]:
    container.seek(int(start_s * av.time_base))
    yield from container.decode(stream)
