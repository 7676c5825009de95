"""A gateway is never sent a burst, and in a minute never much more than its limit."""

from bot.domain.request_pace import RequestPace
from tests.fakes import FakeClock


def taken(pace: RequestPace) -> int:
    count = 0
    while pace.take():
        count += 1
    return count


def test_a_start_sends_one_request_and_then_the_rate() -> None:
    clock = FakeClock()
    pace = RequestPace(600, clock)

    sent = []
    for _ in range(5):
        sent.append(taken(pace))
        clock.turn(1)
    assert sent == [1, 10, 10, 10, 10]


def test_after_a_rest_a_quarter_of_the_limit_may_go_at_once() -> None:
    clock = FakeClock()
    pace = RequestPace(60, clock)
    clock.turn(3_600)

    assert taken(pace) == 15


def test_what_was_not_sent_after_all_can_be_sent_again_and_never_more_than_fits() -> None:
    clock = FakeClock()
    pace = RequestPace(8, clock)
    assert pace.take()
    pace.give_back()
    assert pace.free() == 1
    clock.turn(3_600)
    pace.give_back()

    assert taken(pace) == 2


def test_the_wait_for_the_next_request_is_known() -> None:
    clock = FakeClock()
    pace = RequestPace(60, clock)
    pace.take()
    assert pace.free_in_s() == 1.0
    clock.turn(0.25)

    assert pace.free_in_s() == 0.75
