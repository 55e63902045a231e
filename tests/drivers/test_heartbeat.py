import threading
import time

import pytest

from drivers.errors import DeviceFault, LinkTimeout
from drivers.heartbeat import PATIENCE, Heartbeat


def beating(script):
    """A heartbeat that follows a script of errors and None; gives it and the event that the script is used up."""
    left, done = list(script), threading.Event()

    def beat():
        error = left.pop(0) if left else None
        if not left:
            done.set()
        if error is not None:
            raise error

    heart = Heartbeat(beat, lambda: time.monotonic() - 1.0, 0.001)
    assert done.wait(30)
    heart._thread.join(0.2)
    return heart


@pytest.mark.parametrize(
    "script", [[None] * 5, [LinkTimeout("x")] * (PATIENCE - 1) + [None] + [LinkTimeout("x")] * 2 + [None]]
)
def test_a_few_unanswered_beats_in_a_row_are_no_failure(script):
    heart = beating(script)
    assert heart.failure is None
    heart.stop()


def test_many_unanswered_beats_in_a_row_are_one():
    heart = beating([LinkTimeout("silence")] * PATIENCE)
    assert "silence" in str(heart.failure)
    assert not heart._thread.is_alive()


def test_refused_beat_is_a_failure_at_once():
    heart = beating([DeviceFault(0x12, "tripped")])
    assert heart.failure.code == 0x12


def test_traffic_of_the_host_makes_beats_unnecessary():
    beats = []
    heart = Heartbeat(lambda: beats.append(1), time.monotonic, 0.05)
    assert not heart._end.wait(0.1)
    heart.stop()
    assert not beats


class Over:
    """A lease that is over, or renewed at the last moment."""

    def __init__(self, over):
        self.over, self.end = over, time.monotonic()


def test_heartbeat_ends_with_the_lease_and_switches_off():
    lapsed = threading.Event()
    heart = Heartbeat(lambda: None, time.monotonic, 0.001, Over(True), lambda: lapsed.set() or True)
    assert lapsed.wait(30)
    heart._thread.join(30)
    assert not heart._thread.is_alive()


def test_owner_who_comes_back_at_the_last_moment_keeps_his_heartbeat():
    lease, looked, beats = Over(True), threading.Event(), threading.Event()

    def lapse():
        lease.over = False
        looked.set()
        return False

    heart = Heartbeat(beats.set, lambda: time.monotonic() - 1.0, 0.001, lease, lapse)
    assert looked.wait(30) and beats.wait(30)
    heart.stop()


def test_device_that_watches_nobody_is_not_beaten_but_its_owner_is_looked_after():
    beats, lapsed = [], threading.Event()
    heart = Heartbeat(lambda: beats.append(1), time.monotonic, float("inf"), Over(True), lambda: lapsed.set() or True)
    assert lapsed.wait(30) and not beats
    heart.stop()
