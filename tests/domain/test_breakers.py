"""A gateway in trouble gets a rest; one job finds out whether it is well again."""

import pytest

from bot.domain.breakers import Breakers, BreakerState, Trouble
from bot.domain.errors import Refusal
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def breakers(clock: FakeClock) -> Breakers:
    return Breakers(clock)


@pytest.mark.parametrize("reason", [Refusal.KEY, Refusal.CREDIT])
def test_a_gateway_without_key_or_credit_is_out_at_once_and_asked_again_after_ten_minutes(breakers, clock, reason):
    breakers.refused("hiapi", reason)

    assert breakers.out() == {"hiapi": reason}
    assert breakers.is_out("hiapi")
    assert not breakers.take("hiapi")
    clock.turn(600)
    assert not breakers.is_out("hiapi")
    assert breakers.out() == {"hiapi": reason}
    assert breakers.take("hiapi")


def test_while_one_job_finds_out_the_others_wait(breakers, clock):
    breakers.refused("hiapi", Refusal.CREDIT)
    clock.turn(600)

    assert breakers.state("hiapi") is BreakerState.HALF_OPEN
    assert breakers.take("hiapi")
    assert not breakers.take("hiapi")
    assert breakers.wait_s("hiapi") > 0


def test_a_job_that_was_not_sent_after_all_gives_its_turn_to_the_next(breakers, clock):
    breakers.refused("hiapi", Refusal.CREDIT)
    clock.turn(600)
    breakers.take("hiapi")
    breakers.put_back("hiapi")

    assert breakers.take("hiapi")


def test_an_accepted_job_closes_the_breaker(breakers, clock):
    breakers.refused("hiapi", Refusal.KEY)
    clock.turn(600)
    breakers.take("hiapi")
    breakers.worked("hiapi")

    assert breakers.state("hiapi") is BreakerState.CLOSED
    assert breakers.out() == {}
    assert breakers.take("hiapi")
    assert breakers.take("hiapi")


@pytest.mark.parametrize(("retry_after_s", "rest_s"), [(None, 5.0), (12.0, 12.0), (0.0, 5.0)])
def test_a_busy_gateway_rests_as_long_as_it_asks_for(breakers, clock, retry_after_s, rest_s):
    breakers.refused("hiapi", Refusal.BUSY, retry_after_s=retry_after_s)

    assert breakers.wait_s("hiapi") == rest_s
    assert not breakers.is_out("hiapi")
    clock.turn(rest_s)
    assert breakers.take("hiapi")


def _fail(breakers: Breakers, trouble: Trouble) -> None:
    if trouble is Trouble.UNCONFIRMED:
        breakers.unconfirmed("hiapi")
    else:
        breakers.refused("hiapi", Refusal(trouble.value))


@pytest.mark.parametrize("trouble", [Trouble.CONNECTION, Trouble.UNCONFIRMED])
def test_three_failures_in_a_row_open_the_breaker_and_each_further_one_doubles_the_rest(breakers, clock, trouble):
    _fail(breakers, trouble)
    _fail(breakers, trouble)
    assert breakers.state("hiapi") is BreakerState.CLOSED
    _fail(breakers, trouble)

    rests = []
    for _ in range(7):
        rests.append(breakers.wait_s("hiapi"))
        clock.turn(rests[-1])
        assert breakers.take("hiapi")
        _fail(breakers, trouble)
    assert rests == [15, 30, 60, 120, 240, 300, 300]


def test_failures_with_a_success_between_them_open_nothing(breakers):
    for _ in range(5):
        breakers.unconfirmed("hiapi")
        breakers.unconfirmed("hiapi")
        breakers.worked("hiapi")

    assert breakers.state("hiapi") is BreakerState.CLOSED


@pytest.mark.parametrize("reason", [Refusal.CONTENT, Refusal.PICTURE, Refusal.REQUEST, Refusal.MODEL, Refusal.OTHER])
def test_a_refusal_of_the_request_shows_that_the_gateway_is_well(breakers, reason):
    breakers.unconfirmed("hiapi")
    breakers.unconfirmed("hiapi")
    breakers.refused("hiapi", reason)
    breakers.unconfirmed("hiapi")

    assert breakers.state("hiapi") is BreakerState.CLOSED


def test_one_gateways_trouble_is_no_other_ones(breakers):
    breakers.refused("hiapi", Refusal.CREDIT)

    assert breakers.take("shortapi")
    assert breakers.out() == {"hiapi": Refusal.CREDIT}
