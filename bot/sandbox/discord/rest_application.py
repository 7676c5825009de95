"""REST routes of the application itself: who it is, where its gateway is, and which commands it has."""

from collections.abc import Callable

from bot.sandbox.discord.call import Answer, Call
from bot.sandbox.discord.commands import EVERYWHERE, Commands
from bot.sandbox.discord.errors import ApiError, missing_access
from bot.sandbox.discord.pipeline import Route
from bot.sandbox.discord.wire import application_json, own_guild_json, own_user_json, user_json
from bot.sandbox.discord.world import World

SESSIONS_A_DAY = 1000
GUILDS_MAX = 200


class ApplicationRoutes:
    """The gateway's address is asked for at each call: it is only known once the server listens."""

    def __init__(self, world: World, commands: Commands, *, gateway_url: Callable[[], str], shards: int) -> None:
        self._world = world
        self._commands = commands
        self._gateway_url = gateway_url
        self._shards = shards

    def routes(self) -> list[Route]:
        everywhere = "/applications/{application_id}/commands"
        in_guild = "/applications/{application_id}/guilds/{guild_id}/commands"
        return [
            Route("GET", "/gateway", lambda _: Answer(200, {"url": self._gateway_url()})),
            Route("GET", "/gateway/bot", self.gateway_bot),
            Route("GET", "/users/@me", lambda _: Answer(200, own_user_json(self._world.bot))),
            Route("GET", "/users/@me/guilds", self.list_guilds),
            Route("GET", "/users/{user_id}", self.get_user),
            Route("GET", "/oauth2/applications/@me", self.get_application),
            Route("GET", "/applications/@me", self.get_application),
            *(Route("GET", template, self.get_commands) for template in (everywhere, in_guild)),
            *(Route("PUT", template, self.put_commands) for template in (everywhere, in_guild)),
        ]

    def gateway_bot(self, _: Call) -> Answer:
        limit = {"total": SESSIONS_A_DAY, "remaining": SESSIONS_A_DAY, "reset_after": 86_400_000, "max_concurrency": 1}
        return Answer(200, {"url": self._gateway_url(), "shards": self._shards, "session_start_limit": limit})

    def get_user(self, call: Call) -> Answer:
        user = self._world.users.get(call.number("user_id"))
        if user is None:
            raise ApiError(404, 10013, "Unknown User")
        return Answer(200, user_json(user))

    def list_guilds(self, call: Call) -> Answer:
        """By id, as Discord pages them."""
        limit = int(call.query.get("limit", GUILDS_MAX))
        if not 1 <= limit <= GUILDS_MAX:
            raise ApiError(400, 50035, "Invalid Form Body", {"limit": {"_errors": []}})
        guilds = sorted((g for g in self._world.guilds.values() if g.has_bot), key=lambda guild: guild.id)
        if "before" in call.query:
            guilds = [guild for guild in guilds if guild.id < int(call.query["before"])][-limit:]
        found = [own_guild_json(guild) for guild in guilds if guild.id > int(call.query.get("after", 0))][:limit]
        if call.query.get("with_counts", "").lower() in {"1", "true"}:
            for body in found:
                count = len(self._world.guilds[int(body["id"])].members)
                body |= {"approximate_member_count": count, "approximate_presence_count": count}
        return Answer(200, found)

    def get_application(self, _: Call) -> Answer:
        return Answer(200, application_json(self._world))

    def get_commands(self, call: Call) -> Answer:
        return Answer(200, self._commands.of(self._scope(call)))

    def put_commands(self, call: Call) -> Answer:
        if not isinstance(call.payload, list):
            raise ApiError(400, 50109, "The request body contains invalid JSON.")
        return Answer(200, self._commands.replace(self._scope(call), call.payload))

    def _scope(self, call: Call) -> int | None:
        if call.number("application_id") != self._world.application_id:
            raise ApiError(404, 10002, "Unknown Application")
        if "guild_id" not in call.path:
            return EVERYWHERE
        guild = self._world.guilds.get(call.number("guild_id"))
        if guild is None or not guild.has_bot:
            raise missing_access()
        return guild.id
