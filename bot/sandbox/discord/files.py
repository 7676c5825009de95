"""Files as Discord keeps them: their bytes, what it finds out about them, and where they are stored."""

import io
import mimetypes
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

UNSAFE_IN_NAMES = re.compile(r"[^\w.\-]+")
VIDEO_BOXES = (b"moov", b"trak")
TYPES_PYTHON_MAY_NOT_KNOW = {".webp": "image/webp", ".heic": "image/heic", ".avif": "image/avif", ".mp4": "video/mp4"}


class Upload(NamedTuple):
    """A file on its way in, from the bot or from a member."""

    filename: str
    data: bytes
    description: str | None = None


@dataclass(eq=False)
class StoredFile:
    """A file Discord has; `path` is where its CDN serves it."""

    id: int
    filename: str
    data: bytes
    path: str
    content_type: str | None
    width: int | None
    height: int | None
    description: str | None = None
    ephemeral: bool = False


class FileStore:
    """Everything ever uploaded, by path; a removed file is gone from the CDN."""

    def __init__(self) -> None:
        self._by_path: dict[str, StoredFile] = {}

    def put(self, upload: Upload, *, file_id: int, folder: str, ephemeral: bool = False) -> StoredFile:
        name = safe_name(upload.filename)
        width, height = dimensions(name, upload.data)
        path = f"/{folder}/{file_id}/{name}"
        kind = content_type(name)
        stored = StoredFile(file_id, name, upload.data, path, kind, width, height, upload.description, ephemeral)
        self._by_path[path] = stored
        return stored

    def get(self, path: str) -> StoredFile | None:
        return self._by_path.get(path)

    def remove(self, stored: StoredFile) -> None:
        self._by_path.pop(stored.path, None)


def safe_name(filename: str) -> str:
    """Discord keeps letters, digits, dots, dashes and underscores of a file's name."""
    return UNSAFE_IN_NAMES.sub("_", Path(filename).name).strip("_") or "unknown"


def content_type(filename: str) -> str | None:
    """By the name's ending, as Discord does; None for an ending nobody knows."""
    known = TYPES_PYTHON_MAY_NOT_KNOW.get(Path(filename).suffix.lower())
    return known or mimetypes.guess_type(filename)[0]


def dimensions(filename: str, data: bytes) -> tuple[int | None, int | None]:
    """Width and height in pixels of a picture or an MP4, (None, None) for anything else or anything broken."""
    kind = content_type(filename) or ""
    if kind.startswith("image/"):
        return _picture_size(data)
    if kind == "video/mp4":
        return _mp4_size(data)
    return None, None


def _picture_size(data: bytes) -> tuple[int | None, int | None]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None, None


def _mp4_size(data: bytes) -> tuple[int | None, int | None]:
    """The largest track header's size; its last eight bytes are width and height in 16.16 fixed point."""
    sizes = [struct.unpack(">II", body[-8:]) for body in _track_headers(memoryview(data)) if len(body) >= 84]
    if not sizes:
        return None, None
    width, height = max(sizes)
    return (width >> 16, height >> 16) if width and height else (None, None)


def _track_headers(data: memoryview) -> Iterator[memoryview]:
    position = 0
    while position + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[position : position + 8])
        header = 8
        if size == 1 and position + 16 <= len(data):
            size, header = struct.unpack(">Q", data[position + 8 : position + 16])[0], 16
        end = position + size if size else len(data)
        if size and size < header:
            return
        body = data[position + header : end]
        if name in VIDEO_BOXES:
            yield from _track_headers(body)
        elif name == b"tkhd":
            yield body
        position = end
