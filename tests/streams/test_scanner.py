import os
import time

import pytest

from sji_edge.core.errors import SourceError
from sji_edge.streams.scanner import LineScanner
from sji_edge.testing import FakeClock


def lines_of(scanner, until_ns, count):
    taken, deadline = [], time.monotonic() + 10
    while len(taken) < count and time.monotonic() < deadline:
        taken += scanner.take(until_ns)
        time.sleep(0.01)
    return taken


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "scanner"
    os.mkfifo(path)
    return path


def test_lines_are_taken_once_and_only_those_that_came_before(pipe):
    clock = FakeClock()
    scanner = LineScanner(str(pipe), clock)
    with pipe.open("wb", buffering=0) as gun:
        gun.write(b"SN1\r\nSN")
        assert lines_of(scanner, 0, 1) == ["SN1"]
        clock.advance(1.0)
        gun.write(b"2\n\n")
        deadline = time.monotonic() + 10
        while not scanner._lines and time.monotonic() < deadline:
            time.sleep(0.01)
        assert scanner.take(999_999_999) == []
        assert scanner.take(1_000_000_000) == ["SN2"]
        assert scanner.take(2_000_000_000) == []
    scanner.close()
    scanner.close()


def test_a_scanner_that_is_gone_says_so(pipe):
    scanner = LineScanner(str(pipe), FakeClock())
    pipe.open("wb").close()
    deadline = time.monotonic() + 10
    while not scanner.failure and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "was closed" in scanner.failure
    scanner.close()


def test_a_scanner_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="cannot open the scanner"):
        LineScanner(str(tmp_path / "absent"), FakeClock())
