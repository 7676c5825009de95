"""Transport compression of gateway frames, as the client asked for it in the address."""

import zlib
from collections.abc import Callable

Frame = bytes | str


def compressor(asked: str | None) -> Callable[[str], Frame]:
    """One stream per connection. An unknown wish, or zstd without its library, gives plain text frames."""
    if asked == "zlib-stream":
        return _zlib_stream()
    if asked == "zstd-stream":
        return _zstd_stream()
    return lambda text: text


def _zlib_stream() -> Callable[[str], Frame]:
    stream = zlib.compressobj()
    return lambda text: stream.compress(text.encode()) + stream.flush(zlib.Z_SYNC_FLUSH)


def _zstd_stream() -> Callable[[str], Frame]:
    try:
        import zstandard
    except ImportError:
        return lambda text: text
    stream = zstandard.ZstdCompressor().compressobj()
    block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    return lambda text: stream.compress(text.encode()) + stream.flush(block)
