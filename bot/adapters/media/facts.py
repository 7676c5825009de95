"""What is measured of a video file, and whether Discord's players show such a file inside the message."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """One file as measured. Codecs and pixel format in FFmpeg's words; `audio_codec` is None without sound.

    `fast_start`: the index stands before the data, so that playing begins before the whole file is there.
    """

    container: str
    video_codec: str
    audio_codec: str | None
    pix_fmt: str
    width: int
    height: int
    fps: float
    duration_s: float
    fast_start: bool
    bytes_count: int


def streams_play(facts: VideoFacts) -> bool:
    """Say whether the streams play everywhere, whatever they are wrapped in."""
    return facts.video_codec == "h264" and facts.audio_codec in {"aac", None} and facts.pix_fmt == "yuv420p"


def plays_inline(facts: VideoFacts) -> bool:
    """Say whether the file plays in browsers and on phones as it is."""
    return streams_play(facts) and facts.container == "mp4" and facts.fast_start
