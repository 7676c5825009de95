"""Packs a person's data into one file that Discord takes: the document, and as many files as fit beside it."""

import tempfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from io import BufferedRandom
from pathlib import Path

from bot.domain.privacy import PersonalData
from bot.presentation.personal_data import DOCUMENT, GONE, NO_ROOM, document, files_of

# What the format adds for one file, beside its name twice: headers of 30 and 46 bytes, and room for large sizes.
_ENTRY_BYTES = 120
# The document is written last, when it is known what lies beside it; its size is judged before, a little too high.
_DOCUMENT_SPARE_BYTES = 2_048


@dataclass(frozen=True, slots=True)
class Archive:
    """A finished archive, open at its start; closing `file` deletes it. `no_room` files were too large for it."""

    file: BufferedRandom
    bytes_count: int
    pictures: int
    videos: int
    no_room: int


def make_archive(data: PersonalData, path_of: Callable[[str], Path], *, bytes_max: int, made_at: datetime) -> Archive:
    """Write the archive to a temporary file; blocks. Only the document alone can make it larger than `bytes_max`."""
    files = files_of(data)
    missing = dict.fromkeys((file.name for file in files), NO_ROOM)
    room = bytes_max - _packed_bytes(document(data, missing=missing, made_at=made_at))
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        with zipfile.ZipFile(file, "w") as archive:
            for kept in files:
                needed = kept.bytes_count + _ENTRY_BYTES + 2 * len(kept.name)
                if needed > room:
                    continue
                try:
                    archive.write(path_of(kept.kept_name), kept.name, zipfile.ZIP_STORED)
                except FileNotFoundError:
                    missing[kept.name] = GONE
                    continue
                del missing[kept.name]
                room -= needed
            archive.writestr(DOCUMENT, document(data, missing=missing, made_at=made_at), zipfile.ZIP_DEFLATED)
        bytes_count = file.tell()
        file.seek(0)
        stack.pop_all()
    videos = [kept.is_video for kept in files if kept.name not in missing]
    no_room = list(missing.values()).count(NO_ROOM)
    return Archive(file, bytes_count, pictures=videos.count(False), videos=videos.count(True), no_room=no_room)


def _packed_bytes(content: bytes) -> int:
    packed = len(zlib.compress(content))
    return packed + packed // 100 + _DOCUMENT_SPARE_BYTES
