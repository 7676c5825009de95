"""The rules of the design that a machine can hold: who may import whom, sizes, names, and what is never written."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from textwrap import indent

import pytest

ROOT = Path(__file__).parents[1]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
FORBIDDEN_NAMES = {"common", "helper", "helpers", "manager", "managers", "util", "utils"}
ANY = frozenset({"*"})
TALK_AND_SQL = frozenset({"http", "multiprocessing", "socket", "sqlite3", "ssl", "subprocess", "urllib.request"})
INPUT_OUTPUT = TALK_AND_SQL | {
    "asyncio",
    "concurrent",
    "io",
    "os",
    "pathlib",
    "selectors",
    "shutil",
    "signal",
    "tempfile",
    "threading",
}


@dataclass(frozen=True)
class Ring:
    """What the modules under `prefix` may import: of Gallop, of other packages, and not of the standard library."""

    prefix: str
    own: frozenset[str]
    packages: frozenset[str] = ANY
    not_standard: frozenset[str] = frozenset()


INNER = frozenset({"bot.domain"})
OUTER = INNER | {"bot.config", "bot.logs"}
# The first whose prefix fits counts.
RINGS = (
    Ring("cogs", INNER | {"bot.presentation", "cogs"}, packages=frozenset({"discord"})),
    Ring("bot.domain", INNER, packages=frozenset(), not_standard=TALK_AND_SQL),
    Ring(
        "bot.presentation",
        INNER | {"bot.presentation"},
        packages=frozenset({"discord"}),
        not_standard=INPUT_OUTPUT,
    ),
    # Below bot.adapters each package may also import itself, and no other one.
    Ring("bot.adapters.discord", OUTER | {"bot.presentation"}),
    # The embedded gateway renders with the media adapter.
    Ring("bot.adapters.gateways.animatic", OUTER | {"bot.adapters.media"}),
    Ring("bot.adapters", OUTER),
    Ring("bot.sandbox", INNER | {"bot.adapters.gateways.animatic", "bot.adapters.media", "bot.sandbox"}),
    Ring("bot.config_types", INNER),
    Ring("bot.config", INNER | {"bot.config_types"}),
    Ring("bot.logs", frozenset()),
    Ring("bot.doctor", OUTER | {"bot.adapters"}),
    Ring("bot.deep_doctor", OUTER | {"bot.doctor", "bot.adapters"}),
    Ring("bot.parts", OUTER | {"bot.adapters"}),
    Ring("bot.wiring", OUTER | {"bot.parts", "bot.adapters"}),
    Ring(
        "bot.app",
        OUTER
        | {"bot.deep_doctor", "bot.doctor", "bot.parts", "bot.wiring", "bot.adapters", "bot.presentation", "cogs"},
    ),
    Ring("bot.__main__", frozenset({"bot", "cogs"})),
)


def within(module: str, prefixes: frozenset[str]) -> bool:
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def faults(path: str, text: str) -> list[str]:
    """Return every rule that a source file breaks, one sentence each."""
    tree = ast.parse(text)
    found = [*_size_faults(path, text, tree), *_name_faults(path), *_import_faults(path, tree)]
    if tree.body and ast.get_docstring(tree) is None:
        found.append("the module has no docstring")
    for node in ast.walk(tree):
        found += _handler_faults(node) if isinstance(node, ast.ExceptHandler) else ()
        found += _call_faults(path, node) if isinstance(node, ast.Call) else ()
    return found


def _size_faults(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    if "migrations" in PurePosixPath(path).parts:
        return
    if (lines := len(text.splitlines())) > FILE_LINES_MAX:
        yield f"the file has {lines} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{node.name} has {lines} lines"


def _name_faults(path: str) -> Iterator[str]:
    for part in PurePosixPath(path).with_suffix("").parts:
        if FORBIDDEN_NAMES & set(part.split("_")):
            yield f"{part} says nothing as a name"


def _handler_faults(handler: ast.ExceptHandler) -> Iterator[str]:
    if handler.type is None:
        yield f"bare except in line {handler.lineno}"
    nothing = (isinstance(step, ast.Pass) or _is_bare_constant(step) for step in handler.body)
    if all(nothing):
        yield f"an error is swallowed in line {handler.lineno}"


def _is_bare_constant(step: ast.stmt) -> bool:
    return isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)


def _call_faults(path: str, call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    if name == "print" and path != "bot/__main__.py":
        yield f"print in line {call.lineno}"
    if name in {"importlib.import_module", "import_module", "__import__"}:
        yield f"hidden import in line {call.lineno}"
    if name == "open" and path.startswith(("bot/domain/", "bot/presentation/")):
        yield f"open in line {call.lineno}"


def _module_of(path: str) -> str:
    return ".".join(PurePosixPath(path).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: str, tree: ast.Module) -> Iterator[tuple[str, ...]]:
    """Yield, for each imported name, what it may stand for: ``from a import b`` is the module a, or the module a.b."""
    package = PurePosixPath(path).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name,) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((origin, f"{origin}.{alias.name}") for alias in node.names)


def _import_faults(path: str, tree: ast.Module) -> Iterator[str]:
    module = _module_of(path)
    ring = next((ring for ring in RINGS if within(module, frozenset({ring.prefix}))), None)
    itself = {".".join(module.split(".")[:3])} if module.startswith("bot.adapters.") else set()
    for meanings in _imports(path, tree):
        top = meanings[0].partition(".")[0]
        if ring is None:
            yield f"{module} belongs to no ring and imports {meanings[-1]}"
        elif top in {"bot", "cogs", "tests"}:
            if not any(within(meaning, ring.own | itself) for meaning in meanings):
                yield f"{module} may not import {meanings[-1]}"
        elif top in sys.stdlib_module_names:
            if any(within(meaning, ring.not_standard) for meaning in meanings):
                yield f"{module} may not import {meanings[-1]}"
        elif ring.packages is not ANY and top not in ring.packages:
            yield f"{module} may not import {meanings[-1]}"


SOURCES = sorted(path for folder in ("bot", "cogs") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", [path.relative_to(ROOT).as_posix() for path in SOURCES])
def test_a_source_file_keeps_the_rules(path: str) -> None:
    assert faults(path, (ROOT / path).read_text(encoding="utf-8")) == []


PLANTED_IMPORTS = [
    ("cogs/video.py", "import httpx"),
    ("cogs/video.py", "from bot.adapters.store import ledger"),
    ("cogs/video.py", "from bot.config import Settings"),
    ("bot/presentation/cards.py", "from bot.adapters.discord import delivery"),
    ("bot/presentation/cards.py", "import cogs"),
    ("bot/presentation/cards.py", "import httpx"),
    ("bot/presentation/cards.py", "from pydantic import BaseModel"),
    *(("bot/presentation/cards.py", f"import {name}") for name in sorted(INPUT_OUTPUT)),
    ("bot/presentation/cards.py", "from urllib import request"),
    ("bot/domain/job.py", "import discord"),
    ("bot/domain/job.py", "import httpx"),
    ("bot/domain/job.py", "import pydantic"),
    ("bot/domain/job.py", "import aiosqlite"),
    ("bot/domain/job.py", "import sqlite3"),
    ("bot/domain/job.py", "from bot.presentation import cards"),
    ("bot/domain/job.py", "from bot import config"),
    ("bot/domain/job.py", "from ..adapters.store import ledger"),
    ("bot/domain/job.py", "def late():\n    from bot.adapters.web import Web"),
    ("bot/domain/job.py", "import bot"),
    ("bot/adapters/gateways/hiapi.py", "from bot.adapters.store import ledger"),
    ("bot/adapters/gateways/hiapi.py", "from bot.presentation import cards"),
    ("bot/adapters/store/ledger.py", "from bot.adapters.media import images"),
    ("bot/adapters/discord/client.py", "from bot.adapters.store import ledger"),
    ("bot/adapters/discord/client.py", "from cogs.video import VideoCog"),
    ("bot/adapters/web.py", "from bot.adapters.media import library"),
    ("bot/adapters/web.py", "from bot import app"),
    ("bot/adapters/store/ledger.py", "from tests import fakes"),
    ("bot/sandbox/gateways.py", "from bot.adapters.gateways import hiapi"),
    ("bot/sandbox/gateways.py", "from bot.adapters.gateways.http import post"),
    ("bot/sandbox/gateways.py", "from bot.app import run"),
    ("bot/sandbox/gateways.py", "from bot.config import Settings"),
    ("bot/app.py", "from bot.sandbox import demo"),
    ("bot/app.py", "from bot import sandbox"),
    ("bot/app.py", "from bot.__main__ import main"),
    ("bot/config.py", "from bot.logs import configure"),
    ("bot/logs.py", "from bot.config import Settings"),
    ("bot/services/video.py", "import json"),
]
ALLOWED_IMPORTS = [
    ("cogs/video.py", "from bot.presentation import cards\nfrom bot.domain.job import Job\nfrom discord import ui"),
    ("cogs/video.py", "from cogs.options import RATIO\nfrom discord.ext import commands"),
    ("bot/presentation/cards.py", "from discord import ui\nfrom bot.domain.job import Job\nfrom .words import said"),
    (
        "bot/domain/job.py",
        "import asyncio\nfrom pathlib import Path\nfrom bot.domain import money\nfrom . import quota",
    ),
    ("bot/adapters/gateways/hiapi.py", "import httpx\nfrom bot.adapters.gateways import http\nimport bot.config"),
    ("bot/adapters/discord/client.py", "from bot.presentation import cards\nfrom bot.logs import configure"),
    ("bot/sandbox/gateways.py", "from bot.adapters.gateways import animatic\nfrom bot.adapters.media import video"),
    ("bot/app.py", "from cogs.video import VideoCog\nfrom bot.adapters import web\nfrom bot.config import Settings"),
    ("bot/__main__.py", "import click\nfrom bot import app, sandbox"),
]
LONG = "def long():\n" + "    x = 1\n" * FUNCTION_LINES_MAX
PLANTED_FAULTS = [
    ("bot/app.py", "x = 1\n" * (FILE_LINES_MAX - 1) + "x = 1", f"the file has {FILE_LINES_MAX + 1} lines"),
    ("bot/app.py", LONG, "long has 61 lines"),
    ("bot/app.py", f"class Thing:\n{indent(LONG, '    ')}".replace("def", "async def"), "long has 61 lines"),
    ("bot/app.py", "try:\n    x = 1\nexcept:\n    raise", "bare except"),
    ("bot/app.py", "try:\n    x = 1\nexcept ValueError:\n    pass", "an error is swallowed"),
    ("bot/app.py", "try:\n    x = 1\nexcept ValueError:\n    ...", "an error is swallowed"),
    ("bot/app.py", "try:\n    x = 1\nexcept* ValueError:\n    'why'", "an error is swallowed"),
    ("bot/app.py", "print('x')", "print in line"),
    ("bot/app.py", "import importlib\nimportlib.import_module('bot.sandbox')", "hidden import"),
    ("bot/app.py", "__import__('bot.sandbox')", "hidden import"),
    ("bot/domain/job.py", "open('x')", "open in line"),
    *((f"bot/adapters/{name}.py", "x = 1", "says nothing as a name") for name in sorted(FORBIDDEN_NAMES)),
    ("bot/adapters/store/sql_utils.py", "x = 1", "says nothing as a name"),
    ("cogs/common/video.py", "x = 1", "says nothing as a name"),
]


def documented(text: str) -> str:
    return f'"""What this is for."""\n{text}\n'


@pytest.mark.parametrize(("path", "text"), PLANTED_IMPORTS)
def test_an_import_against_the_rule_is_found(path: str, text: str) -> None:
    assert len(faults(path, documented(text))) == 1


@pytest.mark.parametrize(("path", "text"), ALLOWED_IMPORTS)
def test_an_import_within_the_rule_passes(path: str, text: str) -> None:
    assert faults(path, documented(text)) == []


@pytest.mark.parametrize(("path", "text", "fault"), PLANTED_FAULTS)
def test_a_broken_rule_is_found(path: str, text: str, fault: str) -> None:
    [found] = faults(path, documented(text))

    assert fault in found


def test_a_module_without_docstring_is_found_and_an_empty_one_needs_none() -> None:
    assert faults("bot/app.py", "x = 1\n") == ["the module has no docstring"]
    assert faults("bot/__init__.py", "") == []


def test_migrations_may_be_long_and_the_command_line_may_print() -> None:
    assert faults("bot/adapters/store/migrations/m0001.py", documented("x = 1\n" * FILE_LINES_MAX)) == []
    assert faults("bot/__main__.py", documented("print('x')")) == []


def scripts() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named: dict[str, str] = project["scripts"]
    return named


@pytest.mark.parametrize("target", scripts().values(), ids=scripts().keys())
def test_every_console_script_can_be_imported(target: str) -> None:
    module, _, name = target.partition(":")

    assert callable(getattr(importlib.import_module(module), name))


# Written so that no pattern finds itself.
FOREIGN = re.compile(
    r"(?<![\w.~-])/(?:work|root|opt|home/\w+|Users/\w+)/[\w.]"
    r"|\b(?:pypi\.org|pythonhosted\.org|registry\.npmjs|ghcr\.io|quay\.io)"
    r"|--(?:extra-)?(?:index-url|find-links)[ =]|\[\[tool\.uv\.index"
)


def published() -> list[Path]:
    """Return the files that belong to the project: what git tracks or would, or without git everything not built."""
    if (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        paths = [ROOT / name for name in listed.split("\0") if name]
    else:
        built = {".venv", "__pycache__", "data", "demo", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
        paths = [path for path in ROOT.rglob("*") if not built & set(path.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file()]


def foreign_words(text: str) -> list[str]:
    return [match[0] for match in FOREIGN.finditer(text)]


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): words
        for path in published()
        if (words := foreign_words(path.read_text(encoding="utf-8", errors="replace")))
    }

    assert found == {}


@pytest.mark.parametrize("place", ["work/main", "root/.cache", "opt/wheels", "home/someone/gallop", "Users/me/gallop"])
def test_a_machine_path_is_found(place: str) -> None:
    assert foreign_words(f"see /{place}")
    assert foreign_words(f"https://example.org/{place}") == []


@pytest.mark.parametrize("host", ["files.python", "py"])
def test_a_registry_is_found(host: str) -> None:
    assert foreign_words(f"https://{host}{'hosted' if 'files' in host else 'pi'}.org/simple")
