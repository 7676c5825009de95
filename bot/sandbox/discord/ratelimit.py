"""Discord's rate limits: buckets by route and place, their headers, and the refusal when one is empty."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2s
from typing import NamedTuple

GENEROUS = 1000
BUCKETS_KEPT = 10_000


class Limit(NamedTuple):
    requests: int
    window_s: float


class Verdict(NamedTuple):
    """Whether the request may go on, and the headers its answer carries."""

    allowed: bool
    retry_after_s: float
    headers: dict[str, str]


@dataclass
class _Bucket:
    remaining: int
    resets_at: float


class RateLimits:
    """Real time, not the sandbox's clock: the bot really waits for what these headers say."""

    def __init__(
        self,
        *,
        messages_per_5_s: int | None,
        webhook_per_2_s: int | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self.messages_per_5_s = messages_per_5_s
        self.webhook_per_2_s = webhook_per_2_s

    def limit(self, method: str, route: str) -> Limit:
        """Messages per channel and answers per interaction token are what Discord is strict about."""
        if route.startswith("/channels/{channel_id}/messages") and method in {"POST", "PATCH"}:
            return Limit(self.messages_per_5_s or GENEROUS, 5.0)
        if route.startswith("/webhooks/"):
            return Limit(self.webhook_per_2_s or GENEROUS, 2.0)
        return Limit(GENEROUS, 1.0)

    def take(self, method: str, route: str, place: str) -> Verdict:
        limit = self.limit(method, route)
        # Everything by one interaction token counts together.
        group = "webhooks" if route.startswith("/webhooks/") else f"{method} {route}"
        name = blake2s(group.encode(), digest_size=8).hexdigest()
        now = self._monotonic()
        bucket = self._buckets.get((name, place))
        if bucket is None or bucket.resets_at <= now:
            self._forget_old(now)
            bucket = self._buckets[name, place] = _Bucket(limit.requests, now + limit.window_s)
        allowed = bucket.remaining > 0
        bucket.remaining -= 1 if allowed else 0
        after = bucket.resets_at - now
        headers = {
            "X-RateLimit-Limit": str(limit.requests),
            "X-RateLimit-Remaining": str(bucket.remaining),
            "X-RateLimit-Reset": f"{time.time() + after:.3f}",
            "X-RateLimit-Reset-After": f"{after:.3f}",
            "X-RateLimit-Bucket": name,
        }
        return Verdict(allowed, after, headers)

    def _forget_old(self, now: float) -> None:
        """Every interaction brings a bucket of its own; those that are full again need not be kept."""
        if len(self._buckets) > BUCKETS_KEPT:
            self._buckets = {key: bucket for key, bucket in self._buckets.items() if bucket.resets_at > now}
