"""Canaries: every secret is planted, whole stories are played, and everything the bot emitted is searched.

The bot runs as a process of its own. Between it and Discord and the gateways stand wiretaps, so that what is searched
is what left the bot, byte by byte, and not what the sandbox understood of it.
"""

import asyncio
import base64
import io
import json
import os
import re
import secrets
import sqlite3
import sys
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import aiohttp
import pytest
from pydantic import SecretStr

from bot.__main__ import cli
from bot.config import Settings
from bot.sandbox import samples
from bot.sandbox.discord import Message, Upload
from bot.sandbox.gateways.faults import CallbackFault, MediaFault, SubmitFault
from tests import picture_samples
from tests.scenarios.process import ROOT, Life, Stage, stage
from tests.scenarios.theatre import Theatre
from tests.scenarios.wiretap import Wiretap, free_port, tapped

pytestmark = [pytest.mark.wire, pytest.mark.timeout(300)]

GATEWAYS = ("shortapi", "hiapi", "pixeldojo")
PROMPT = "canary-prompt-of"
FILE_NAME = "canary-file-name.png"
WRONG_TOKEN = "canary-discord-token-that-is-wrong"
# What a signed address and a callback look like; masked ones end in the mask.
SIGNED = re.compile(rb"(?:[?&](?:sig|hm|ex|is)=|/callbacks/\w+/\w+/)(?!\*\*\*)[\w%-]{6,}")


def holds_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(holds_secret(part) for part in get_args(annotation))


SECRET_SETTINGS = [name for name, setting in Settings.model_fields.items() if holds_secret(setting.annotation)]


# What a secret may look like when it comes out.
FORMS: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "in an address": lambda secret: quote(secret, safe="").encode(),
    "in base 64": lambda secret: base64.b64encode(secret.encode()),
    "in hexadecimal": lambda secret: secret.encode().hex().encode(),
    "backwards": lambda secret: secret[::-1].encode(),
}


def leaks(canaries: Mapping[str, str], evidence: Mapping[str, bytes]) -> list[str]:
    """Return which canary was found in which piece of evidence."""
    return [
        f"{name} in {place}"
        for place, emitted in evidence.items()
        for name, secret in canaries.items()
        if any(form(secret) in emitted for form in FORMS.values())
    ]


@dataclass
class Trial:
    """The stage with its taps; `emitted` is whatever came out elsewhere, by what it was."""

    stage: Stage
    taps: dict[str, Wiretap]
    canaries: dict[str, str]
    public_url: str
    emitted: dict[str, bytes] = field(default_factory=dict)

    def evidence(self) -> dict[str, bytes]:
        """Return everything emitted, without the one place each secret may be in: its own gateway's Authorization."""
        wires = {f"what {name} was sent": tap.sent for name, tap in self.taps.items()}
        for name in GATEWAYS:
            own = f"Authorization: Bearer {self.canaries[f'{name}_key']}\r\n".encode()
            wires[f"what {name} was sent"] = wires[f"what {name} was sent"].replace(own, b"")
        token = b"|".join(re.escape(token.encode()) for token in (self.canaries["discord_token"], WRONG_TOKEN))
        own_words = rb'Authorization: Bot (%s)\r\n|"token": ?"(%s)"' % (token, token)
        wires["what discord was sent"] = re.sub(own_words, b"", wires["what discord was sent"])
        return {**self.emitted, **wires}

    def files(self) -> dict[str, bytes]:
        paths = [path for path in self.stage.folder.rglob("*") if path.is_file()]
        return {f"the file {path.relative_to(self.stage.folder)}": path.read_bytes() for path in paths}

    def read_database(self, question: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.stage.database_path}?mode=ro", uri=True)) as connection:
            return list(connection.execute(question))


@asynccontextmanager
async def trial(folder: Path) -> AsyncIterator[Trial]:
    """Plant a canary in every setting that holds a secret; the sandbox knows those it must know."""
    canaries = {name: f"canary-{name.replace('_', '-')}-{secrets.token_hex(12)}" for name in SECRET_SETTINGS}
    public_url = f"http://127.0.0.1:{free_port()}"
    unlimited = dict.fromkeys(("quota_user_day_usd", "quota_user_month_usd", "quota_guild_month_usd"), "unlimited")
    settings = {**canaries, **unlimited, "public_url": public_url, "http_port": public_url.rpartition(":")[2]}
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(stage(folder, **settings, attachment_host="web", jobs_per_user="20"))
        t = made.theatre
        canaries["discord_token"] = t.settings["discord_token"] = t.discord.bot_token
        taps = {"discord": await stack.enter_async_context(tapped(t.discord.api_url.removesuffix("/api/v10")))}
        t.discord._listening_at(taps["discord"].port)
        t.settings["discord_api_url"] = t.discord.api_url
        for name in GATEWAYS:
            stand = getattr(t.gateways, name)
            taps[name] = await stack.enter_async_context(tapped(stand.base_url))
            stand.base_url = t.settings[f"{name}_url"] = taps[name].address
            stand.key = canaries[f"{name}_key"]
        yield Trial(made, taps, canaries, public_url)


def echo(status: int) -> Callable[[bytes], bytes]:
    """Answer with the whole request in words, headers and all, as a gateway's debug page might."""

    def answer(request: bytes) -> bytes:
        told = request.decode("latin-1")
        body = json.dumps({"code": status, "message": told, "error": {"code": "DEBUG", "message": told}}).encode()
        head = f"HTTP/1.1 {status} {'x' * 3}\r\nContent-Type: application/json\r\nX-Echo: {quote(told)}\r\n"
        return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body

    return answer


def given_to_children(pid: int) -> bytes:
    """Return environment and command line of a process's children, where the system shows them."""
    listed = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    given = [Path(f"/proc/{child}/{what}") for child in listed.split() for what in ("environ", "cmdline")]
    return b"\n".join(path.read_bytes() for path in given)


@dataclass
class Play:
    """The stories; each waits for something that somebody sees, so that it has been played to its end."""

    trial: Trial
    life: Life

    @property
    def t(self) -> Theatre:
        return self.trial.stage.theatre

    async def ask(self, gateway: str, what: str, mode: str = "text", /, **options: Any) -> Message:
        asked = {"prompt": f"{PROMPT} {gateway} {what}", "gateway": gateway, "duration": 3, **options}
        pictures = {"image1": Upload(FILE_NAME, samples.transparent_png())} if mode == "reference" else {}
        return await (await self.t.command(f"video {mode}", asked, uploads=pictures)).answer()

    async def delivered(self, gateway: str, what: str) -> None:
        await self.t.card(f"{PROMPT} {gateway} {what}", "discord.com/channels", timeout_s=30)

    async def successes(self) -> None:
        for gateway in GATEWAYS:
            await self.ask(gateway, "in public", "reference")
        await self.ask("hiapi", "in private", private=True)
        for gateway in GATEWAYS:
            await self.delivered(gateway, "in public")
        await self.t.video(self.t.member.dm)

    async def children(self) -> None:
        """Look at what the processes were given that work on files strangers made."""
        self.trial.emitted["its children's environment"] = given_to_children(self.life.process.pid)

    async def refusals(self) -> None:
        for wrong in ({"prompt": " "}, {"prompt": f"{PROMPT} nobody {'a' * 5_000}"}, {"gateway": f"{PROMPT} none"}):
            await self.ask("shortapi", "refused", **wrong)
        for data in (b"", picture_samples.HTML, picture_samples.truncated_jpeg()):
            asked = {"prompt": f"{PROMPT} nobody", "gateway": "hiapi"}
            await (await self.t.command("video reference", asked, uploads={"image1": Upload(FILE_NAME, data)})).answer()

    async def failing_downloads(self) -> None:
        faults = (MediaFault.EXPIRED, MediaFault.REDIRECT, MediaFault.HTML)
        for gateway, fault in zip(GATEWAYS, faults, strict=True):
            getattr(self.t.gateways, gateway).faults.media.append(fault)
            await self.ask(gateway, "downloads badly", "reference")
        for gateway in GATEWAYS:
            await self.delivered(gateway, "downloads badly")

    async def bad_callbacks(self) -> None:
        for fault in (CallbackFault.FORGED, CallbackFault.GARBAGE, CallbackFault.OVERSIZE):
            self.t.gateways.hiapi.faults.callback.append(fault)
            await self.ask("hiapi", f"calls back {fault}")
            await self.delivered("hiapi", f"calls back {fault}")

    async def failing_discord(self) -> None:
        faults = self.t.discord.faults
        faults.answer(r"POST .*/channels/\d+/messages$", 500, times=2)
        await self.ask("animatic", "through a failing Discord")
        faults.drop_after(r"PATCH .*/channels/\d+/messages/")
        await self.delivered("animatic", "through a failing Discord")
        faults.answer(r"PATCH .*/webhooks/", 401, code=50027)
        await self.t.command("video quota")
        await self.life.says("private answer not given")

    async def unconfirmed(self) -> None:
        self.t.gateways.shortapi.faults.submit.extend([SubmitFault.ACCEPT_THEN_DROP] * 2)
        self.t.gateways.shortapi.faults.callback.extend([CallbackFault.NEVER] * 2)
        await self.ask("shortapi", "is unconfirmed")
        await self.t.card("is unconfirmed", "has not confirmed")
        await self.ask("shortapi", "is unconfirmed in private", private=True)
        await self.t.card("is unconfirmed in private", "has not confirmed", channel=self.t.member.dm)
        await (await self.t.command("video-admin unconfirmed", user=self.t.discord.owner)).answer()

    async def echoed_reads(self) -> None:
        self.t.gateways.pixeldojo.faults.callback.append(CallbackFault.NEVER)
        await self.ask("pixeldojo", "is read badly", "reference")
        await self.t.card("is read badly", "● rendering")
        await self.trial.taps["pixeldojo"].reply(echo(500))
        await self.trial.taps["pixeldojo"].answered.wait()
        await self.trial.taps["pixeldojo"].reply(None)
        await self.delivered("pixeldojo", "is read badly")

    async def echoed_submissions(self) -> None:
        said = {"shortapi": "gateway has not confirmed", "hiapi": "gateway refused", "pixeldojo": "gateway refused"}
        for (gateway, words), status in zip(said.items(), (500, 401, 402), strict=True):
            await self.trial.taps[gateway].reply(echo(status))
            answer = await self.ask(gateway, "is echoed", "reference")
            await self.life.says(f"{words} job_id={(await self.newest_job_id())} gateway={gateway}")
            assert "on hold" in answer.text
            await self.trial.taps[gateway].reply(None)

    async def newest_job_id(self) -> str:
        return str(self.trial.read_database("SELECT job_id FROM jobs ORDER BY job_id DESC LIMIT 1")[0][0])

    async def commands(self) -> None:
        for command in ("status", "history", "quota", "help", "privacy delete"):
            await (await self.t.command(f"video {command}")).answer()
        export = await (await self.t.command("video privacy export")).answer()
        with zipfile.ZipFile(io.BytesIO(export.files[0].data)) as archive:
            self.trial.emitted["an export"] = b"\n".join(archive.read(name) for name in archive.namelist())
        for option, command in (("job", "status"), ("job", "show"), ("gateway", "text")):
            await self.t.discord.autocomplete(self.t.member, self.t.channel, f"video {command}", option, {option: ""})
        job_id = await self.newest_job_id()
        for command in ("show", "cancel", "status"):
            await (await self.t.command(f"video {command}", {"job": job_id})).answer()

    async def visits(self) -> None:
        """Look at every page of the bot's own web server, rightly and wrongly."""
        pages = ["/", "/healthz", "/readyz", "/metrics", "/media/picture/x.png?until=1&sig=0", "/callbacks/hiapi/x/y"]
        answers = []
        async with aiohttp.ClientSession(self.trial.public_url) as visitor:
            for page, method in product(pages, ("GET", "POST", "OPTIONS", "TRACE")):
                # By the name that is public, by another (as an operator does), and through a proxy.
                for headers in ({}, {"Host": "localhost"}, {"X-Forwarded-For": "1.2.3.4", "Host": "localhost"}):
                    async with visitor.request(method, page, headers=headers) as response:
                        answers.append(f"{response.status} {response.headers}".encode() + await response.read())
        self.trial.emitted["what the web server answered"] = b"\n".join(answers)

    async def command_line(self) -> None:
        """Run every command beside the bot, also with each of its flags; those that take a file get one."""
        for name, command in cli.commands.items():
            if name in NOT_BESIDE:
                continue
            files = [f"made-by-{name}" for part in command.params if part.required]
            flags = [part.opts[0] for part in command.params if getattr(part, "is_flag", False)]
            for flag in ("", *flags):
                ended = await self.trial.stage.gallop(" ".join([name, *([flag] if flag else []), *files]))
                self.trial.emitted[f"gallop {name} {flag}".strip()] = f"{ended.output}\n{ended.errors}".encode()


# They run the bot, or a bot of their own.
NOT_BESIDE = {"run", "demo", "sandbox"}


@asynccontextmanager
async def living(made: Trial) -> AsyncIterator[Life]:
    """Run the bot as `Stage.life` does, and keep what it says on both ends."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **made.stage.environment()}
    with (made.stage.folder / "stdout").open("w+b") as stdout:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "run"),
            cwd=made.stage.folder,
            env=environment,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
        )
        life = Life(process)
        listening = asyncio.create_task(life.listen())
        try:
            await made.stage._ready(life)
            yield life
        finally:
            if process.returncode is None:
                await life.kill()
            await listening
            made.emitted["the log"] = "".join(life.log).encode()
            stdout.seek(0)
            made.emitted["standard output"] = stdout.read()
    await made.stage.theatre.discord.gone()


@asynccontextmanager
async def played(folder: Path) -> AsyncIterator[Trial]:
    """Play all stories, one after the other, in one life of the bot."""
    async with trial(folder) as made:
        async with living(made) as life:
            play = Play(made, life)
            for story in (
                play.successes,
                play.children,
                play.refusals,
                play.failing_downloads,
                play.bad_callbacks,
                play.failing_discord,
                play.unconfirmed,
                play.echoed_reads,
                play.echoed_submissions,
                play.commands,
                play.visits,
                play.command_line,
            ):
                await story()
            assert await life.stop() == 0
        refused = await made.stage.gallop("run", discord_token=WRONG_TOKEN)
        assert refused.exit_code == 2
        made.emitted["a start with a wrong token"] = f"{refused.output}\n{refused.errors}".encode()
        yield made


def a_secret_is_nowhere_but_in_the_authorization_to_its_own_gateway(made: Trial) -> None:
    canaries = {**made.canaries, "a wrong token": WRONG_TOKEN}

    assert leaks(canaries, {**made.evidence(), **made.files()}) == []


def what_was_searched_is_what_there_was_to_see(made: Trial) -> None:
    """The stories really used the secrets, and said something."""
    for name in (*GATEWAYS, "discord"):
        secret = made.canaries["discord_token" if name == "discord" else f"{name}_key"]
        assert made.taps[name].sent.count(secret.encode()) > 5
    assert b'"op":2' in made.taps["discord"].sent
    said = {
        "the log": (b"gateway refused", b"gateway has not confirmed", b"callback without a genuine signature"),
        "standard output": (b"PixelDojo",),
        "what the web server answered": (b"404: Not Found", b"gallop_jobs"),
        "gallop doctor": (b"answers, and did not refuse the key",),
        "a start with a wrong token": (b"DISCORD_TOKEN was refused by Discord",),
        "its children's environment": (b"bot.adapters.media.worker",) if sys.platform == "linux" else (),
    }
    for place, words in said.items():
        assert [word for word in words if word not in made.emitted[place]] == []


def the_secret_behind_media_links_stays_in_the_database(made: Trial) -> None:
    ((secret,),) = made.read_database("SELECT value FROM notes WHERE key = 'media_secret'")
    # Also in its copy by `gallop backup`.
    databases = (b"SQLite format 3", b"\x37\x7f\x06")
    elsewhere = {place: data for place, data in made.files().items() if not data.startswith(databases)}

    assert leaks({"hex": secret}, {**made.evidence(), **elsewhere}) == []
    assert bytes.fromhex(secret) not in b"".join([*made.evidence().values(), *elsewhere.values()])


def a_callbacks_token_is_told_to_its_own_gateway_alone(made: Trial) -> None:
    for gateway in GATEWAYS:
        rows = made.read_database(f"SELECT callback_token FROM attempts WHERE gateway = '{gateway}'")  # noqa: S608
        tokens = {f"token {number} of {gateway}": token for number, (token,) in enumerate(rows)}
        evidence = made.evidence()
        told = evidence.pop(f"what {gateway} was sent")

        assert leaks(tokens, evidence) == []
        assert any(token.encode() in told for token in tokens.values())


def an_interactions_token_is_told_to_discord_alone(made: Trial) -> None:
    known = made.stage.theatre.discord._interactions._by_token
    tokens = {f"token {number}, of {known[token]}": token for number, token in enumerate(known)}
    evidence = made.evidence()
    del evidence["what discord was sent"]

    assert len(tokens) > 20
    assert leaks(tokens, {**evidence, **made.files()}) == []


def what_people_write_is_told_to_discord_and_the_gateway_they_chose_alone(made: Trial) -> None:
    evidence = made.evidence()
    del evidence["what discord was sent"]
    assert f"{PROMPT} hiapi in private".encode() in evidence.pop("an export")
    for gateway in GATEWAYS:
        told = evidence.pop(f"what {gateway} was sent")
        others = {f"the prompt for {other}": f"{PROMPT} {other}" for other in GATEWAYS if other != gateway}

        assert f"{PROMPT} {gateway} in public".encode() in told
        assert leaks(others, {gateway: told}) == []
        assert leaks({"a file's name": FILE_NAME}, {gateway: told}) == []

    assert leaks({"a prompt": PROMPT, "a file's name": FILE_NAME.partition(".")[0]}, evidence) == []


def what_was_asked_in_private_is_said_to_nobody_else(made: Trial) -> None:
    t = made.stage.theatre
    elsewhere = [m for c in t.discord.world.channels.values() if c is not t.member.dm for m in c.by_id.values()]
    for interaction in t.discord._interactions._by_token.values():
        if interaction.user is not t.member:
            elsewhere += [*interaction.followups, *([interaction.original] if interaction.original else [])]
    said = [text for message in elsewhere for text in (message.text, *message.edits)]
    listed = [text for text in said if "unconfirmed job" in text]

    assert any("**private**" in text for text in listed), listed
    assert [text for text in said if "in private" in text] == []
    assert len([message for message in t.member.dm.messages if "in private" in message.text]) > 1


def where_the_bot_keeps_its_files_is_its_operators_business(made: Trial) -> None:
    wires = {name: data for name, data in made.evidence().items() if name.startswith("what ")}

    assert leaks({"the folder": str(made.stage.folder)}, wires) == []


def the_log_holds_no_address_that_opens_anything(made: Trial) -> None:
    log = made.emitted["the log"]

    assert SIGNED.findall(log) == []
    assert SIGNED.search(b"GET /media/video/a.mp4?until=1766000000&sig=" + b"a" * 64)
    assert SIGNED.search(b"POST /callbacks/hiapi/k7m2p9q4r8s3t6v1/" + b"t" * 32)


def a_leak_is_found_in_whatever_form_and_place(made: Trial) -> None:
    secret = made.canaries["hiapi_key"]
    for form in FORMS.values():
        planted = {place: data + b"... " + form(secret) for place, data in made.evidence().items()}

        assert leaks({"hiapi_key": secret}, planted) == [f"hiapi_key in {place}" for place in planted]


def a_key_sent_to_another_gateway_or_beside_its_header_is_a_leak(made: Trial) -> None:
    key = made.canaries["hiapi_key"]
    sent = f"GET /v1/tasks?key={key} HTTP/1.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    for name in GATEWAYS:
        made.taps[name]._connections.append(bytearray(sent))

    found = leaks({"hiapi_key": key}, made.evidence())
    for name in GATEWAYS:
        made.taps[name]._connections.pop()

    assert found == [f"hiapi_key in what {name} was sent" for name in GATEWAYS]


CLAIMS = (
    a_secret_is_nowhere_but_in_the_authorization_to_its_own_gateway,
    what_was_searched_is_what_there_was_to_see,
    the_secret_behind_media_links_stays_in_the_database,
    a_callbacks_token_is_told_to_its_own_gateway_alone,
    an_interactions_token_is_told_to_discord_alone,
    what_people_write_is_told_to_discord_and_the_gateway_they_chose_alone,
    what_was_asked_in_private_is_said_to_nobody_else,
    where_the_bot_keeps_its_files_is_its_operators_business,
    the_log_holds_no_address_that_opens_anything,
    a_leak_is_found_in_whatever_form_and_place,
    a_key_sent_to_another_gateway_or_beside_its_header_is_a_leak,
)


async def test_nothing_secret_comes_out_in_any_story(tmp_path: Path, subtests: pytest.Subtests) -> None:
    async with played(tmp_path) as made:
        for claim in CLAIMS:
            with subtests.test(claim.__name__):
                claim(made)
