"""When jobs are looked at, and when they count as slow, overdue and lost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WatchTimes:
    """`first_s` None: own history decides, else 20 s. `task_life_s`: how long gateways know a job."""

    first_s: float | None = None
    interval_s: float = 5.0
    interval_max_s: float = 15.0
    slow_after_s: float = 300.0
    task_life_s: float = 86_400.0

    @property
    def overdue_after_s(self) -> float:
        """After this a running job no longer counts towards the caps in flight (20 minutes by default)."""
        return 4 * self.slow_after_s
