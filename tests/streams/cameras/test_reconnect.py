import numpy as np
import pytest

from sji_edge.core.errors import SourceError
from sji_edge.core.protocols import Frame
from sji_edge.streams.cameras.reconnect import FIRST_WAIT_S, LONGEST_WAIT_S, ReconnectingSource, reconnecting
from sji_edge.testing import FakeClock

LOST = "the cable was cut"


def waiting(clock):
    """Wait on a fake clock, and report that nobody closed the source meanwhile."""

    def wait(seconds):
        clock.sleep(seconds)
        return False

    return wait


class Device:
    """A device that follows a script: a number is a count of frames followed by a loss; None cannot be opened."""

    def __init__(self, clock, *script, ends=False):
        self.clock, self.script, self.ends = clock, list(script), ends
        self.opened = self.closed = 0

    def open(self):
        frames = self.script.pop(0) if self.script else None
        if frames is None:
            raise SourceError("no answer", hint="plug it in")
        self.opened += 1
        return Opened(self, frames)


class Opened:
    free_running = True

    def __init__(self, device, frames):
        self.device, self.frames = device, frames

    def __iter__(self):
        for number in range(self.frames):
            now_ns = self.device.clock.monotonic_ns()
            yield Frame(number, f"raw#{number}", now_ns, np.zeros((2, 2), np.uint8), missed=number)
        if self.device.script or not self.device.ends:
            raise SourceError(LOST, hint="mend it")

    def close(self):
        self.device.closed += 1


def source_of(*script, limit_s=30.0, ends=True):
    clock = FakeClock()
    device = Device(clock, *script, ends=ends)
    return ReconnectingSource(device.open, "cam", limit_s, clock, waiting(clock)), device, clock


def test_source_that_comes_back_goes_on_with_the_next_number():
    source, device, clock = source_of(2, None, 3)
    frames = list(source)
    assert [(frame.index, frame.name) for frame in frames] == [(n, f"cam#{n:06d}") for n in range(7)]
    assert [frame.away for frame in frames] == [False, False, True, True, False, False, False]
    assert [frame.error for frame in frames if frame.away] == [LOST, "no answer"]
    assert [frame.missed for frame in frames] == [0, 1, 0, 0, 0, 1, 2]
    assert clock.waits == [FIRST_WAIT_S, 2 * FIRST_WAIT_S]
    assert (device.opened, device.closed) == (2, 1)
    source.close()
    assert device.closed == 2


def test_pauses_grow_to_a_bound_and_the_limit_is_kept():
    source, _, clock = source_of(1, limit_s=21.0, ends=False)
    frames = []
    with pytest.raises(SourceError, match=r"cam did not come back within 21 s: no answer") as caught:
        frames.extend(iter(source))
    assert caught.value.hint == "plug it in"
    assert clock.now_ns == 21 * 10**9
    assert max(clock.waits) <= LONGEST_WAIT_S
    # One for the loss and one an attempt: a long loss is on record and floods nothing.
    expected = [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 3.5]
    assert clock.waits == pytest.approx(expected)


def test_device_that_opens_and_gives_nothing_stays_away():
    source, device, clock = source_of(1, *[0] * 40, limit_s=10.0, ends=False)
    with pytest.raises(SourceError, match="did not come back"):
        list(source)
    assert clock.now_ns == 10 * 10**9
    assert device.closed == device.opened


def test_a_frame_resets_the_time_away():
    source, _, clock = source_of(1, None, 1, None, 1, limit_s=2.0)
    assert [frame.away for frame in source] == [False, True, True, False, True, True, False]
    assert clock.now_ns == 3 * 10**9


def test_first_opening_is_no_retry():
    clock = FakeClock()
    with pytest.raises(SourceError, match="no answer"):
        ReconnectingSource(Device(clock, None).open, "cam", 30.0, clock, waiting(clock))
    assert clock.waits == []


def test_no_limit_means_no_second_try():
    clock = FakeClock()
    source = reconnecting(Device(clock, 2, 2).open, "cam", 0.0, clock)
    with pytest.raises(SourceError, match=LOST):
        list(source)


def test_close_during_a_pause_ends_and_opens_nothing():
    clock = FakeClock()
    device = Device(clock, 1, 1)
    source = ReconnectingSource(device.open, "cam", 30.0, clock, lambda seconds: bool(source.close()) or True)
    assert [frame.away for frame in source] == [False, True]
    assert (device.opened, device.closed) == (1, 1)


def test_source_that_is_closed_while_it_reopens_lets_go_of_the_new_one():
    clock = FakeClock()
    device = Device(clock, 1, 5)

    def reopen():
        opened = device.open()
        if device.opened == 2:
            source.close()
        return opened

    source = ReconnectingSource(reopen, "cam", 30.0, clock, waiting(clock))
    list(source)
    assert device.closed == device.opened == 2
