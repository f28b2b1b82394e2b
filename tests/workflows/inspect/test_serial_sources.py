import os
import time

import pytest

from sji_edge.core.errors import UsageError
from sji_edge.core.protocols import Frame
from sji_edge.streams.scanner import LineScanner
from sji_edge.testing import FakeClock
from sji_edge.workflows.inspect.serials import ScannedSerials, open_serial_source


def frame(name="line1/A17_SN0042_top.png", captured_ns=0):
    return Frame(0, name, captured_ns, None)


@pytest.mark.parametrize(
    ("pattern", "serial"),
    [
        ("SN[0-9]+", "SN0042"),
        ("_(SN[0-9]+)_", "SN0042"),
        ("(A17)_(?P<serial>[^_]+)", "SN0042"),
        ("B[0-9]+", ""),
    ],
)
def test_a_pattern_finds_the_serial_number_in_the_name(pattern, serial):
    found = open_serial_source(f"name:{pattern}", FakeClock()).serial_of(frame())
    assert found.text == serial
    assert (found.fault is None) is bool(serial)


@pytest.mark.parametrize("text", ["code", "name:SN[", "SN[0-9]+"])
def test_an_unknown_source_or_a_broken_pattern_is_refused(text):
    with pytest.raises(UsageError):
        open_serial_source(text, FakeClock())


def test_a_frame_takes_what_was_scanned_since_the_last_one(tmp_path):
    path, clock = tmp_path / "scanner", FakeClock()
    os.mkfifo(path)
    scanner = LineScanner(str(path), clock)
    serials = ScannedSerials(scanner)
    with path.open("wb", buffering=0) as gun:
        for time_s, line in enumerate([b"SN1\nSN1\n", b"SN2\nSN3\n", b"SN4\n"]):
            clock.now_ns = time_s * 10**9
            before = len(scanner._lines)
            gun.write(line)
            deadline = time.monotonic() + 10
            while len(scanner._lines) == before and time.monotonic() < deadline:
                time.sleep(0.01)
        found = [serials.serial_of(frame(captured_ns=round(at * 10**9))) for at in (0.5, 0.6, 1.5, 2.5)]
    assert [one.text for one in found] == ["SN1", "", "", "SN4"]
    assert "nothing was scanned" in str(found[1].fault)
    assert "2 codes were scanned since the last frame: SN2, SN3" in str(found[2].fault)
    serials.close()
