"""What leaves the bot, and how a file comes in: read off the sources, so that a second way cannot grow unseen.

A machine cannot see where an address came from. So every request stands in a list here with the expression of its
address; a new one fails until somebody has judged it and written it down.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOWNLOAD = "bot/adapters/gateways/download.py"

# Who sends requests, and to what address; the base of a gateway and PUBLIC_URL are settings of the operator.
REQUESTS = {
    DOWNLOAD: {"client.build_request(url.copy_with(host=address))", "client.send(request)"},
    "bot/adapters/gateways/http.py": {
        "self._fresh.build_request(self._base.address + path)",
        "self._kept.build_request(self._base.address + path)",
        "client.send(request)",
    },
    "bot/doctor.py": {"client.get(f\"{public_url.rstrip('/')}/healthz\")"},
    # `root` is PUBLIC_URL.
    "bot/deep_doctor.py": {
        "client.get(f'{root}/callbacks/doctor/doctor/doctor')",
        "client.get(MediaLinks(bytes.fromhex(secret), root, SystemClock()).picture(picture_name))",
    },
}
# Who may know a library or module that can talk to others, beside the sandbox, which is the others.
TALKERS = {
    DOWNLOAD: {"httpx", "socket"},
    "bot/adapters/gateways/http.py": {"httpx"},
    "bot/adapters/gateways/shortapi.py": {"httpx"},
    "bot/adapters/gateways/hiapi.py": {"httpx"},
    "bot/adapters/gateways/pixeldojo.py": {"httpx"},
    "bot/adapters/discord/client.py": {"aiohttp"},
    "bot/adapters/discord/answers.py": {"aiohttp"},
    "bot/adapters/metrics.py": {"aiohttp"},
    "bot/adapters/web.py": {"aiohttp"},
    "bot/deep_doctor.py": {"aiohttp", "httpx"},
    "bot/doctor.py": {"aiohttp", "httpx"},
    "bot/parts.py": {"httpx"},
}
TALKING = {
    *("aiohttp", "http.client", "httpcore", "httpx", "requests", "urllib.request", "urllib3", "websockets"),
    *("ftplib", "smtplib", "socket", "socketserver", "ssl", "telnetlib", "xmlrpc"),
}
# aiohttp's server calls nobody.
SERVING = "aiohttp.web"
SENDING = {"build_request", "delete", "get", "head", "options", "patch", "post", "put", "request", "send", "stream"}
CLIENT = re.compile(r"(?:^|[._])(?:client|http|httpx|aiohttp|requests|session|fresh|kept)$", re.IGNORECASE)
CONNECTING = {"ClientSession", "create_connection", "open_connection", "urlopen", "urlretrieve", "ws_connect"}
KINDS = ("any", "bytes", "chunked", "lines", "raw", "text")
READING = {f"{how}_{kind}" for how in ("iter", "aiter") for kind in KINDS}
WRITING = {"open", "write", "write_bytes", "write_text"}
# What discord.py offers to fetch an attachment with: it follows whatever address the attachment has, and saves it.
ATTACHMENT = {"read", "save", "to_file"}
DISCORD = ("bot/adapters/discord/", "cogs/")


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str, str]]:
    """Yield each call, the expression it is made on, and its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node, ast.unparse(node.func.value), node.func.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node, "", node.func.id


def requests(tree: ast.Module) -> set[str]:
    """Return every request a module makes: on what, by which call, to which address."""
    found: set[str] = set()
    for call, client, name in calls(tree):
        if name in CONNECTING:
            found.add(name)
        if name in SENDING and CLIENT.search(client):
            takes_method = name in {"build_request", "request", "stream"}
            address = [ast.unparse(argument) for argument in call.args][1 if takes_method else 0 :]
            found.add(f"{client}.{name}({', '.join(address) or '?'})")
    return found


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    names = {name for name in names if name != SERVING and not name.startswith(f"{SERVING}.")}
    return {talker for talker in TALKING for name in names if name == talker or name.startswith(f"{talker}.")}


def faults(path: str, text: str) -> list[str]:
    """Return every rule that a source file breaks, one sentence each."""
    tree = ast.parse(text)
    found = [f"a request nobody has judged: {made}" for made in sorted(requests(tree) - REQUESTS.get(path, set()))]
    found += [f"may not import {name}" for name in sorted(imported(tree) - TALKERS.get(path, set()))]
    names = {name for _, _, name in calls(tree)}
    if path != DOWNLOAD and names & READING and names & WRITING:
        found.append("reads a body and writes a file")
    if path.startswith(DISCORD) and names & ATTACHMENT:
        found.append("fetches by discord.py")
    return [*found, *_careless_faults(tree)]


def _careless_faults(tree: ast.Module) -> Iterator[str]:
    for call, client, name in calls(tree):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if "False" in {given.get("verify"), given.get("ssl"), given.get("check_hostname"), given.get("verify_ssl")}:
            yield "a certificate is not checked"
        if given.get("follow_redirects") == "True" or given.get("allow_redirects") == "True":
            yield "redirects are followed unchecked"
        if (client, name) == ("httpx", "AsyncClient") and given.get("trust_env") != "False":
            yield "a client obeys proxies and certificates of the environment"
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            if name in {"CERT_NONE", "_create_unverified_context", "_create_default_https_context"}:
                yield "a certificate is not checked"


def sources() -> list[str]:
    paths = (path for folder in ("bot", "cogs") for path in (ROOT / folder).rglob("*.py"))
    names = sorted(path.relative_to(ROOT).as_posix() for path in paths)
    return [name for name in names if not name.startswith("bot/sandbox/")]


@pytest.mark.parametrize("path", sources())
def test_nothing_leaves_or_comes_in_by_a_way_nobody_has_judged(path: str) -> None:
    assert faults(path, (ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", sorted(REQUESTS.keys() | TALKERS.keys()))
def test_the_lists_name_nothing_that_is_gone(path: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))

    assert requests(tree) == REQUESTS.get(path, set())
    assert imported(tree) == TALKERS.get(path, set())


def test_every_video_is_opened_in_one_bounded_way() -> None:
    reading = [
        (path, ast.unparse(call))
        for path in sources()
        for call, client, name in calls(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if (client, name) == ("av", "open") and "'w'" not in [ast.unparse(argument) for argument in call.args]
    ]

    assert reading == [("bot/adapters/media/transcode.py", "av.open(path, format='mov', options=_OPENING)")]


PLANTED = [
    ("bot/domain/watching.py", "await client.get(reading.video_address)", "a request nobody has judged"),
    ("bot/domain/watching.py", "async with self._http.stream('GET', address) as r: ...", "a request nobody has judged"),
    ("bot/adapters/gateways/http.py", "self._kept.build_request('GET', address)", "a request nobody has judged"),
    ("bot/adapters/gateways/hiapi.py", "await httpx.get(address)", "a request nobody has judged"),
    ("bot/doctor.py", "await client.get(callback)", "a request nobody has judged"),
    ("bot/adapters/web.py", "aiohttp.ClientSession()", "a request nobody has judged"),
    ("bot/adapters/web.py", "await aiohttp.request('GET', address)", "a request nobody has judged"),
    ("bot/app.py", "await asyncio.open_connection(host, 80)", "a request nobody has judged"),
    ("bot/adapters/media/library.py", "import httpx", "may not import httpx"),
    ("bot/adapters/media/library.py", "from urllib.request import urlopen", "may not import urllib.request"),
    ("bot/adapters/media/library.py", "from urllib import request", "may not import urllib.request"),
    ("cogs/video.py", "import aiohttp.client", "may not import aiohttp"),
    (
        "bot/adapters/gateways/http.py",
        "async for chunk in response.aiter_bytes():\n    file.write(chunk)",
        "reads a body and writes a file",
    ),
    ("bot/adapters/discord/client.py", "await attachment.save(path)", "fetches by discord.py"),
    ("cogs/options.py", "data = await attachment.read()", "fetches by discord.py"),
    ("bot/app.py", "httpx.AsyncClient(trust_env=False, verify=False)", "a certificate is not checked"),
    ("bot/app.py", "context.verify_mode = ssl.CERT_NONE", "a certificate is not checked"),
    ("bot/app.py", "httpx.AsyncClient(trust_env=False, follow_redirects=True)", "redirects are followed unchecked"),
    ("bot/app.py", "httpx.AsyncClient()", "a client obeys proxies"),
]


@pytest.mark.parametrize(("path", "text", "fault"), PLANTED)
def test_a_new_way_is_found(path: str, text: str, fault: str) -> None:
    asynchronous = f"async def planted():\n    {text}".replace("\n    file", "\n        file")

    found = faults(path, text if "import" in text else asynchronous)

    assert len(found) == 1
    assert fault in found[0]
