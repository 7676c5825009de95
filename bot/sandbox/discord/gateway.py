"""The gateway: sockets, sessions, heartbeats, resumes, and events to the shard they belong to."""

import asyncio
import json
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from bot.sandbox.discord.bell import Bell
from bot.sandbox.discord.compression import Frame, compressor
from bot.sandbox.discord.events import GUILDS_INTENT, bot_sees, event_json, guild_of, needs_intent
from bot.sandbox.discord.people import Guild
from bot.sandbox.discord.wire import JSON, guild_create_json, member_json, own_user_json
from bot.sandbox.discord.world import World

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 0, 1, 2, 6, 7, 9, 10, 11
PRESENCE, VOICE_STATE, REQUEST_MEMBERS = 3, 4, 8
HEARTBEAT_INTERVAL_S = 41.25
EVENTS_KEPT = 5000
SENDS_PER_MINUTE = 120
UNKNOWN_OPCODE, DECODE_ERROR, NOT_AUTHENTICATED, AUTHENTICATION_FAILED = 4001, 4002, 4003, 4004
ALREADY_AUTHENTICATED, RATE_LIMITED, SESSION_TIMED_OUT, INVALID_SHARD = 4005, 4008, 4009, 4010
CLOSED_PROPERLY, GOING_AWAY, UNKNOWN_ERROR = 1000, 1001, 4000


class SocketClosed(Exception):
    """The server ends the connection with this close code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Connection:
    """One socket; what is queued is sent in order, compressed in one stream."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket
        self._request = request
        self.session: Session | None = None
        self.ended_here = False
        self.silent = False
        self._compress = compressor(request.query.get("compress"))
        self._queue: asyncio.Queue[str | int] = asyncio.Queue()
        self._received: deque[float] = deque()

    def send(self, op: int, data: Any) -> None:
        self.send_text(json.dumps({"op": op, "d": data, "s": None, "t": None}, separators=(",", ":")))

    def send_text(self, text: str) -> None:
        self._queue.put_nowait(text)

    def close(self, code: int) -> None:
        """After everything queued so far."""
        self.ended_here = True
        self._queue.put_nowait(code)

    def cut(self) -> None:
        """At once and without a close frame, as when the network fails."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def write(self) -> None:
        while isinstance(item := await self._queue.get(), str):
            if self.silent:
                continue
            frame: Frame = self._compress(item)
            await (self.socket.send_bytes(frame) if isinstance(frame, bytes) else self.socket.send_str(frame))
        await self.socket.close(code=item)

    def count_received(self, now: float) -> None:
        self._received.append(now)
        while self._received[0] < now - 60:
            self._received.popleft()
        if len(self._received) > SENDS_PER_MINUTE:
            raise SocketClosed(RATE_LIMITED)


@dataclass(eq=False)
class Session:
    """What outlives a socket: the events since it began, for a resume."""

    shard: int
    shards: int
    intents: int
    connection: Connection | None
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    sequence: int = 0
    sent: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))

    def dispatch(self, event: str, data: JSON) -> None:
        self.sequence += 1
        text = json.dumps({"op": DISPATCH, "t": event, "s": self.sequence, "d": data}, separators=(",", ":"))
        self.sent.append((self.sequence, text))
        if self.connection is not None:
            self.connection.send_text(text)

    def wants(self, event: str, guild: Guild | None) -> bool:
        home = (guild.id >> 22) % self.shards == self.shard if guild is not None else self.shard == 0
        needed = needs_intent(event, guild)
        return home and (needed == 0 or bool(self.intents & needed))


class Gateway:
    """Serves any number of sockets; a session without a socket keeps its events until it is resumed."""

    def __init__(self, world: World, *, bot_token: str) -> None:
        self._world = world
        self._bot_token = bot_token
        self.heartbeat_interval_s = HEARTBEAT_INTERVAL_S
        self.refuses = False
        self._sessions: dict[str, Session] = {}
        self._connections: set[Connection] = set()
        self.url = ""
        self.bell = Bell()
        self.resumes = 0
        world.observers.append(self._on_change)

    @property
    def ready(self) -> bool:
        """Every shard of the bot is connected."""
        live = [session for session in self._sessions.values() if session.connection is not None]
        return bool(live) and {session.shard for session in live} == set(range(live[0].shards))

    def _on_change(self, event: str, subject: object) -> None:
        if not bot_sees(subject):
            return
        guild = guild_of(subject)
        for session in self._sessions.values():
            if session.wants(event, guild):
                session.dispatch(event, event_json(event, subject))

    def dispatch_interaction(self, payload: JSON, guild: Guild | None) -> int:
        """To every live session of the right shard; the number of those that have a socket."""
        meant = [session for session in self._sessions.values() if session.wants("INTERACTION_CREATE", guild)]
        for session in meant:
            session.dispatch("INTERACTION_CREATE", payload)
        return sum(1 for session in meant if session.connection is not None)

    def close_all(self, *, resumable: bool, abruptly: bool = False) -> int:
        """Ends every socket; the number of sockets ended."""
        if not resumable:
            self._sessions.clear()
        closing = list(self._connections)
        for connection in closing:
            if abruptly:
                connection.cut()
            else:
                connection.close(UNKNOWN_ERROR if resumable else SESSION_TIMED_OUT)
        return len(closing)

    def ask_to_reconnect(self) -> None:
        """Opcode 7, what Discord sends before it restarts a gateway server."""
        for connection in self._connections:
            connection.send(RECONNECT, None)

    def invalidate_all(self, *, resumable: bool) -> None:
        """Opcode 9 in the middle of a session."""
        if not resumable:
            self._sessions.clear()
        for connection in self._connections:
            connection.send(INVALID_SESSION, resumable)

    def silence_all(self) -> None:
        """The sockets stay open, but nothing comes over them any more, not even acknowledged heartbeats."""
        for connection in self._connections:
            connection.silent = True

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self.refuses:
            return web.Response(status=503, text="upstream connect error")
        socket = web.WebSocketResponse(max_msg_size=2**16, timeout=2.0)
        await socket.prepare(request)
        connection = Connection(socket, request)
        self._connections.add(connection)
        connection.send(HELLO, {"heartbeat_interval": int(self.heartbeat_interval_s * 1000), "_trace": []})
        writer = asyncio.create_task(connection.write())
        try:
            await self._read(connection)
        except SocketClosed as closed:
            connection.close(closed.code)
        finally:
            self._forget(connection)
            if not connection.ended_here:
                writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    async def _read(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                message = await connection.socket.receive(timeout=self.heartbeat_interval_s * 1.5)
            except TimeoutError:
                raise SocketClosed(SESSION_TIMED_OUT) from None
            if message.type is not WSMsgType.TEXT:
                return
            connection.count_received(loop.time())
            self._take(connection, message.data)

    def _take(self, connection: Connection, text: str) -> None:
        try:
            frame = json.loads(text)
            op, data = frame["op"], frame.get("d")
        except (ValueError, KeyError, TypeError):
            raise SocketClosed(DECODE_ERROR) from None
        if op == HEARTBEAT:
            connection.send(HEARTBEAT_ACK, None)
        elif op == IDENTIFY:
            self._identify(connection, data)
        elif op == RESUME:
            self._resume(connection, data)
        elif connection.session is None:
            raise SocketClosed(NOT_AUTHENTICATED)
        elif op == REQUEST_MEMBERS:
            self._send_members(connection.session, data)
        elif op not in {PRESENCE, VOICE_STATE}:
            raise SocketClosed(UNKNOWN_OPCODE)

    def _send_members(self, session: Session, data: JSON) -> None:
        """Answer a request for members by their ids, which needs no intent; any other goes without an answer."""
        guild = self._world.guilds.get(int(data["guild_id"]))
        if guild is None or "user_ids" not in data:
            return
        wanted = {int(user_id) for user_id in data["user_ids"]}
        found = [member for member in guild.members.values() if member.user.id in wanted]
        chunk = {
            "guild_id": str(guild.id),
            "members": [member_json(guild, member) for member in found],
            "not_found": [str(user_id) for user_id in sorted(wanted - {member.user.id for member in found})],
            "chunk_index": 0,
            "chunk_count": 1,
            "nonce": data.get("nonce"),
        }
        session.dispatch("GUILD_MEMBERS_CHUNK", chunk)

    def _identify(self, connection: Connection, data: JSON) -> None:
        if connection.session is not None:
            raise SocketClosed(ALREADY_AUTHENTICATED)
        if data.get("token") != self._bot_token:
            raise SocketClosed(AUTHENTICATION_FAILED)
        shard, shards = data.get("shard") or (0, 1)
        if not 0 <= shard < shards:
            raise SocketClosed(INVALID_SHARD)
        for old in [old for old in self._sessions.values() if old.shard == shard and old.connection is None]:
            del self._sessions[old.id]
        session = Session(shard, shards, data.get("intents", 0), connection)
        connection.session = session
        self._sessions[session.id] = session
        guilds = [
            guild for guild in self._world.guilds.values() if guild.has_bot and session.wants("GUILD_CREATE", guild)
        ]
        session.dispatch("READY", self._ready_json(session, guilds))
        for guild in guilds:
            session.dispatch("GUILD_CREATE", guild_create_json(guild))
        self.bell.ring()

    def _ready_json(self, session: Session, guilds: list[Guild]) -> JSON:
        here = session.intents & GUILDS_INTENT
        return {
            "v": 10,
            "user": own_user_json(self._world.bot),
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds] if here else [],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self.url,
            "shard": [session.shard, session.shards],
            "application": {"id": str(self._world.application_id), "flags": 0},
            "private_channels": [],
            "user_settings": {},
            "relationships": [],
            "presences": [],
            "guild_join_requests": [],
            "_trace": [],
        }

    def _resume(self, connection: Connection, data: JSON) -> None:
        session = self._sessions.get(str(data.get("session_id")))
        seen = data.get("seq") or 0
        lost = session is not None and session.sent and session.sent[0][0] > seen + 1
        if session is None or lost or data.get("token") != self._bot_token:
            connection.send(INVALID_SESSION, False)
            return
        if session.connection is not None:
            session.connection.close(UNKNOWN_ERROR)
        connection.session, session.connection = session, connection
        for sequence, text in session.sent:
            if sequence > seen:
                connection.send_text(text)
        session.dispatch("RESUMED", {"_trace": []})
        self.resumes += 1
        self.bell.ring()

    def _forget(self, connection: Connection) -> None:
        """A client that closes properly ends its session; any other end can be resumed."""
        self._connections.discard(connection)
        session = connection.session
        if session is None or session.connection is not connection:
            return
        session.connection = None
        if not connection.ended_here and connection.socket.close_code in {CLOSED_PROPERLY, GOING_AWAY}:
            self._sessions.pop(session.id, None)
        self.bell.ring()

    async def wait_ready(self, timeout_s: float) -> None:
        await self.bell.until(lambda: self.ready or None, timeout_s=timeout_s, what="a bot at the gateway")

    async def wait_gone(self, timeout_s: float) -> None:
        await self.bell.until(lambda: not self._connections or None, timeout_s=timeout_s, what="the bot's leaving")

    async def wait_resumed(self, times: int, timeout_s: float) -> None:
        def look() -> bool | None:
            return self.resumes >= times or None

        await self.bell.until(look, timeout_s=timeout_s, what=f"{times} resumes")
