import threading
import time

import pytest

from drivers.errors import OutOfRange
from drivers.lease import LONGEST_S, Lease


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_sign_of_life_holds_for_so_long(clock):
    lease = Lease(30.0, clock=clock)
    clock.now += 29.9
    assert not lease.over
    lease.renew()
    clock.now += 29.9
    assert not lease.over
    clock.now += 0.2
    assert lease.over


def test_named_work_holds_for_the_time_it_named_and_no_longer(clock):
    lease = Lease(30.0, clock=clock)
    with lease.busy(100.0):
        clock.now += 99.0
        assert not lease.over
        clock.now += 1.1
        assert lease.over
    assert lease.over  # coming back too late is no sign of life


def test_behind_the_work_the_lease_begins_anew(clock):
    lease = Lease(30.0, clock=clock)
    with lease.busy(100.0):
        clock.now += 90.0
    clock.now += 29.0
    assert not lease.over
    clock.now += 1.1
    assert lease.over


def test_work_within_work_holds_to_the_later_end(clock):
    lease = Lease(1.0, clock=clock)
    with lease.busy(100.0):
        with lease.busy(10.0):
            clock.now += 20.0
        assert not lease.over
        clock.now += 81.0
        assert lease.over


def test_several_threads_may_be_busy():
    lease = Lease(30.0)

    def work():
        for _ in range(100):
            with lease.busy(100.0):
                time.sleep(0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lease.end - time.monotonic() <= 30.0  # nobody's work is left behind


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), LONGEST_S + 1, 1e300])
def test_a_lease_without_a_bound_is_refused(seconds):
    with pytest.raises(OutOfRange, match="at most 3600 s"):
        Lease(seconds)
    with pytest.raises(OutOfRange, match="at most 3600 s"), Lease(1.0).busy(seconds):
        pass


def test_the_clock_is_the_one_that_never_goes_back():
    assert abs(Lease(1.0).renewed - time.monotonic()) < 1.0
