"""Writes the demo's report as a table for the terminal."""

from collections.abc import Sequence

from bot.sandbox.demo import Report, Shown

_HEAD = ("command", "gateway", "price", "held", "settled", "time to video", "file", "size", "seconds")


def table(report: Report) -> list[str]:
    """Return the lines to print: one per command, then what is wrong, then the verdict."""
    rows = [_HEAD, *(_row(one) for one in report.shown)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["", _line(rows[0], widths), _line(["-" * width for width in widths], widths)]
    lines += [_line(row, widths) for row in rows[1:]]
    wrong = [f"✗ {one.command} at {one.gateway}: {problem}" for one in report.shown for problem in one.problems]
    wrong += [f"✗ {problem}" for problem in report.problems]
    verdict = f"✓ every video is in the channel and plays, and the ledger adds up ({report.took_s} s)"
    return [*lines, "", *(wrong or [verdict])]


def _row(one: Shown) -> tuple[str, ...]:
    return (
        one.command,
        one.gateway,
        one.price,
        one.held,
        one.settled,
        f"{one.time_to_video_s:.1f} s",
        one.file or "none",
        f"{one.size_bytes / 1024:.0f} kB",
        f"{one.seconds:.2f}",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
