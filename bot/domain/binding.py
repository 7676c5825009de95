"""Why a gateway job id cannot be given to an unconfirmed job."""

from dataclasses import dataclass
from enum import StrEnum

from bot.domain.errors import RequestRejected


class BindProblem(StrEnum):
    """Why a gateway job id cannot be bound to an unconfirmed job."""

    NOT_UNCONFIRMED = "not_unconfirmed"
    NOT_READABLE = "not_readable"
    TAKEN = "taken"
    OTHER_BILL = "other_bill"


@dataclass(eq=False)
class BindRejected(RequestRejected):
    """The job stays as it is. `gateway_title` is where the id was looked up."""

    problem: BindProblem
    gateway_title: str
