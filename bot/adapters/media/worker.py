"""The child process of the media work: lowers its priority, bounds its memory, answers requests."""

import base64
import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

MEMORY_MAX_BYTES = 2 * 1024**3


def main() -> None:
    """Do the work named by the first argument: each line of JSON on standard input to one on standard output."""
    os.nice(10)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))
    if sys.argv[1] == "report":
        # The import takes a second, in which whoever started this still reads what is to be drawn.
        _drawing()
    # Not iterated over: that would read ahead, and the first answer would wait for the second request.
    while line := sys.stdin.readline():
        sys.stdout.write(json.dumps(_do(sys.argv[1], json.loads(line))) + "\n")
        sys.stdout.flush()


def _do(work: str, request: dict[str, Any]) -> dict[str, Any]:
    if work == "picture":
        return _picture(**request)
    if work == "report":
        return _report(**request)
    from bot.adapters.media import transcode

    match work:
        case "probe":
            return asdict(transcode.measure(Path(request["path"])))
        case "fit":
            return asdict(transcode.fit(Path(request["path"]), Path(request["target"]), request["bytes_max"]))
        case "last_frame":
            return {"png": base64.b64encode(transcode.last_frame(Path(request["path"]))).decode()}
        case "render":
            from bot.adapters.media import encode

            encode.render(**{**request, "target": Path(request["target"])})
            return {}
        case _:
            raise ValueError(work)


def _picture(*, path: str, target: str, rules: dict[str, Any], mode: str, **options: Any) -> dict[str, Any]:
    """Write the repaired picture to `target` and return the rest of it, or return why it was rejected."""
    from bot.adapters.media import images
    from bot.domain.errors import PictureRejected
    from bot.domain.request import Mode, PictureRules

    try:
        prepared = images.prepare(Path(path).read_bytes(), rules=PictureRules(**rules), mode=Mode(mode), **options)
    except PictureRejected as error:
        return asdict(error)
    Path(target).write_bytes(prepared.data)
    return {name: value for name, value in asdict(prepared).items() if name != "data"}


def _drawing() -> ModuleType:
    from bot.adapters.media import report_picture

    return report_picture


def _report(*, chart: dict[str, Any], target: str) -> dict[str, Any]:
    from bot.domain.charts import chart_from

    _drawing().draw(chart_from(chart), Path(target))
    return {}


if __name__ == "__main__":
    main()
