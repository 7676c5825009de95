"""`make bench`: every measurement in turn, the machine they were taken on, and a Markdown table of both."""

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import (
    bench_acknowledgement,
    bench_callbacks,
    bench_holds,
    bench_jobs,
    bench_report,
    bench_rules,
    bench_start,
)

_MEASUREMENTS = {
    "acknowledgement": bench_acknowledgement.run,
    "holds": bench_holds.run,
    "rules": bench_rules.run,
    "jobs": bench_jobs.run,
    "callbacks": bench_callbacks.run,
    "start": bench_start.run,
    "report": bench_report.run,
}
_ACK_RATIO_MAX = 2.0
_HOLDS_RATIO_MIN = 0.6
_SLOW_HOLDS_RATIO_MIN = 5.0
_RULES_RATIO_MAX = 1.5
_KB_PER_JOB_MAX = 20.0
_READS_PER_JOB_MAX = 6.0
_LAG_MAX_MS = 20.0
_TO_CHANNEL_MAX_S = 2.0
_CALLED_BACK_MAX_S = 1.0
_FIRST_WATCH_MAX_S = 2.0
_REPORT_MAX_S = 2.0
_REPORT_MAX_MB = 300
_SYNCS = 200


def main() -> None:
    """Measure what the arguments name, or everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(_MEASUREMENTS)}; none means all")
    parser.add_argument("--report", type=Path, help="write everything measured as JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(_MEASUREMENTS):
        parser.error(f"there is no measurement named {', '.join(sorted(unknown))}")
    report: dict[str, Any] = {"machine": _machine()}
    for name in arguments.names or _MEASUREMENTS:
        _say(f"Measuring: {name} …")
        report[name] = _MEASUREMENTS[name]()
    if arguments.report is not None:
        arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    _say("")
    for line in _table(report):
        _say(line)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _table(report: dict[str, Any]) -> Iterable[str]:
    yield "| measured | Gallop | yardstick | aim | met |"
    yield "|---|---|---|---|---|"
    rows = {
        "acknowledgement": _acknowledgement_rows,
        "holds": _holds_rows,
        "rules": _rules_rows,
        "jobs": _jobs_rows,
        "callbacks": _callbacks_rows,
        "start": _start_rows,
        "report": _report_rows,
    }
    for name, rows_of in rows.items():
        if name in report:
            for row in rows_of(report[name]):
                yield "| " + " | ".join(row) + " |"
    yield ""
    yield ". ".join(f"{name}: {value}" for name, value in report["machine"].items()) + "."


def _acknowledgement_rows(found: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    ours, bare = found["gallop"], found["bare"]
    yield "acknowledging `/video text`, p50", f"{ours['p50_ms']} ms", f"{bare['p50_ms']} ms, only deferring", "", ""
    yield (
        "the same, p99",
        f"{ours['p99_ms']} ms",
        f"{bare['p99_ms']} ms",
        f"within {_ACK_RATIO_MAX:g}×",
        _met(found["p99_ratio"] <= _ACK_RATIO_MAX, f"{found['p99_ratio']}×"),
    )
    yield "processor time per interaction", f"{ours['cpu_ms']} ms, up to the submission", f"{bare['cpu_ms']} ms", "", ""


def _holds_rows(found: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    yield from _holds_on(found, "", _HOLDS_RATIO_MIN)
    if found["slow_disk"] is None:
        yield "durable holds with 2 ms added to each sync", "not measured: there is no C compiler", "", "", ""
    else:
        yield from _holds_on(found["slow_disk"], ", 2 ms added to each sync", _SLOW_HOLDS_RATIO_MIN)


def _holds_on(found: dict[str, Any], disk: str, ratio_min: float) -> Iterable[tuple[str, ...]]:
    *_, most = found["store_per_s"]
    for callers, per_s in found["store_per_s"].items():
        ratio = found["store_to_raw"][callers]
        yield (
            f"durable holds, {callers} caller{'' if callers == '1' else 's'}{disk}",
            f"{per_s:,} per s",
            f"{found['raw_per_s']:,} per s, raw `sqlite3`",
            f"above {ratio_min:g}×" if callers == most else "",
            _met(ratio > ratio_min, f"{ratio}×") if callers == most else f"{ratio}×",
        )


def _rules_rows(found: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    for name in ("p50", "p99"):
        with_rules, without = found["with_rules_ms"][name], found["without_ms"][name]
        ratio = round(with_rules / without, 2)
        yield (
            f"quote and hold with {found['rules']} rules applying, {name}",
            f"{with_rules} ms",
            f"{without} ms without rules",
            f"within {_RULES_RATIO_MAX:g}×",
            _met(ratio <= _RULES_RATIO_MAX, f"{ratio}×"),
        )


def _jobs_rows(found: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    memory_kb, reads = found["memory_kb_per_job"], found["reads_per_job"]
    lag_ms, whole_s = found["lag_p99_ms"], found["done_to_channel_s"]["p50"]
    yield (
        f"{found['in_flight']:,} jobs in flight, memory per job",
        f"{memory_kb} kB",
        "",
        *_below(memory_kb, _KB_PER_JOB_MAX, "kB"),
    )
    yield "watch reads per job", f"{reads}", "", *_below(reads, _READS_PER_JOB_MAX, "")
    yield "lateness of the event loop, p99", f"{lag_ms} ms", "", *_below(lag_ms, _LAG_MAX_MS, "ms")
    yield (
        "gateway done to video in the channel, median",
        f"{whole_s} s more",
        f"{found['bare_transfer_s']} s, bare transfer",
        *_below(whole_s, _TO_CHANNEL_MAX_S, "s"),
    )
    yield "of that, until a read saw it done", f"{found['done_to_read_s']['p50']} s", "", "", ""
    yield "of that, from the read to the channel", f"{found['read_to_channel_s']['p50']} s", "", "", ""
    yield "processor time per job, without the probing child", f"{found['cpu_ms_per_job']} ms", "", "", ""


def _callbacks_rows(found: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    whole_s = found["done_to_channel_s"]["p50"]
    yield (
        "gateway done to video in the channel with callbacks, median",
        f"{whole_s} s more",
        f"{found['bare_transfer_s']} s, bare transfer",
        *_below(whole_s, _CALLED_BACK_MAX_S, "s"),
    )


def _start_rows(found: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    first_s, per_s = found["first_watch_s"], found["limit_per_min"] / 60
    yield (
        f"start to first watch with {found['jobs']:,} unfinished jobs",
        f"{first_s} s",
        "",
        *_below(first_s, _FIRST_WATCH_MAX_S, "s"),
    )
    busiest = f"{found['busiest_second']}"
    yield "of their reads, the most in any second", busiest, f"{per_s:g}, the limit's rate", "", ""


def _report_rows(found: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    seconds, memory_mb, again_s = found["seconds"], found["memory_mb"], found["again_seconds"]
    first_s = found["first_seconds"]
    yield (
        f"report of a year of {found['jobs']:,} jobs: figures, picture and files",
        f"{seconds} s; the first of all {first_s} s, another one soon after {again_s} s",
        "",
        *_below(seconds, _REPORT_MAX_S, "s"),
    )
    yield (
        "its memory, with the drawing child",
        f"{memory_mb} MB, of which the child {found['child_mb']} MB",
        "",
        *_below(memory_mb, _REPORT_MAX_MB, "MB"),
    )


def _below(value: float, limit: float, unit: str) -> tuple[str, str]:
    return f"under {limit:g} {unit}".strip(), _met(value < limit, "")


def _met(met: bool, figure: str) -> str:
    return f"{'yes' if met else 'no'}{', ' + figure if figure else ''}"


def _machine() -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="gallop-bench-") as folder:
        disk, sync_ms = _disk(Path(folder)), _sync_ms(Path(folder))
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "Cores": f"{os.cpu_count()} ({_processor()})",
        "Memory": f"{memory_gib:.0f} GiB",
        "Disk": f"{disk}, {sync_ms:.2f} ms for an fsync",
        "System": f"{platform.system()} on {platform.machine()}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "Load at the start": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.processor() or "unknown"


def _disk(folder: Path) -> str:
    """Name the kind of disk under a folder by its device's name and what the kernel says of it."""
    number = folder.stat().st_dev
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    kinds = {"vd": "virtual disk", "xvd": "virtual disk", "nvme": "NVMe", "dm": "mapped disk"}
    for start, kind in kinds.items():
        if device.name.startswith(start):
            return kind
    turning = [path for path in (device / "queue/rotational", device.parent / "queue/rotational") if path.exists()]
    if not turning:
        return "no disk of its own (memory or overlay)"
    return "hard disk" if turning[0].read_text().strip() == "1" else "SSD"


def _sync_ms(folder: Path) -> float:
    took_s = []
    with (folder / "sync").open("wb") as file:
        for _ in range(_SYNCS):
            file.write(bytes(4096))
            file.flush()
            start = time.perf_counter()
            os.fsync(file.fileno())
            took_s.append(time.perf_counter() - start)
    return median(took_s) * 1000


if __name__ == "__main__":
    main()
