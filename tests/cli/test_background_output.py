import io
import os
import threading
import time

import pytest
from rich.table import Table

from sji_edge.cli.background_output import BackgroundOutput
from sji_edge.cli.guarded_output import ERRORS, GuardedOutput
from sji_edge.cli.render.console import console


class Slow(io.StringIO):
    """A buffer whose reader takes nothing until it is released."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def write(self, text):
        self.go.wait(10)
        return super().write(text)


def never(reason):
    raise AssertionError(reason)


def test_everything_arrives_in_order():
    stream = io.StringIO()
    output = BackgroundOutput(stream, never)
    for number in range(1000):
        output.write(f"{number}\n")
    output.close()
    assert stream.getvalue() == "".join(f"{number}\n" for number in range(1000))
    assert output.dropped == 0


def test_lines_that_find_the_queue_full_are_dropped_counted_and_said():
    stream = Slow()
    output = BackgroundOutput(stream, never, max_chunks=10)
    output.write("first\n")
    time.sleep(0.1)
    begun = time.perf_counter()
    for number in range(25):
        output.write(f"{number}\n")
    assert time.perf_counter() - begun < 0.5
    stream.go.set()
    assert output.drain(5)
    output.write("last\n")
    output.close()
    assert output.dropped == 15
    lines = stream.getvalue().splitlines()
    assert lines[:11] == ["first", *map(str, range(10))]
    assert lines[11:] == ["(15 lines left out here: the reader of this output is too slow)", "last"]


def test_closing_does_not_wait_for_a_reader_that_stalls():
    stream = Slow()
    output = BackgroundOutput(stream, never)
    output.write("first\n")
    time.sleep(0.1)
    output.write("second\n")
    begun = time.perf_counter()
    output.close(timeout_s=0.1)
    assert time.perf_counter() - begun < 2
    assert output.dropped == 1
    stream.go.set()


def test_a_reader_that_is_gone_is_reported_once():
    reader, writer = os.pipe()
    os.close(reader)
    reasons = []
    with os.fdopen(writer, "w") as stream:
        output = BackgroundOutput(stream, reasons.append)
        for _ in range(5):
            output.write("line\n")
            time.sleep(0.05)
        output.close()
    assert reasons == ["Broken pipe"]
    assert output.dropped >= 4


def test_a_pipe_that_somebody_made_non_blocking_loses_nothing():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    text = "x" * 200_000 + "\n"
    received = []

    def read():
        while piece := os.read(reader, 65536):
            received.append(piece)

    thread = threading.Thread(target=read)
    with os.fdopen(writer, "w") as stream:
        output = BackgroundOutput(stream, never)
        output.write(text)
        time.sleep(0.2)
        thread.start()
        output.close()
    thread.join()
    os.close(reader)
    assert b"".join(received).decode() == text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_character_that_the_encoding_lacks_is_spelt_another_way(encoding):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors=ERRORS)
    stream.write("a … b – c → d №\n")
    stream.flush()
    assert raw.getvalue().decode("ascii") == "a ... b - c -> d \\u2116\n"


def test_a_guarded_stream_goes_on_without_its_reader():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        guarded = GuardedOutput(stream)
        for _ in range(3):
            guarded.write("line\n")
            guarded.flush()
    assert guarded.failure is not None
    assert guarded.failure.strerror == "Broken pipe"


def test_the_console_escapes_control_characters_in_tables_and_keeps_its_own_colours(monkeypatch):
    stream = io.StringIO()
    table = Table("name")
    table.add_row("a\x1b[2J\u202e")
    console(stream).print(table)
    assert r"a\x1b[2J\u202e" in stream.getvalue()
    monkeypatch.setenv("FORCE_COLOR", "1")
    printed = console(stream)
    printed.print("[red]red[/] \x1b[2J")
    assert stream.getvalue().splitlines()[-1] == "\x1b[31mred\x1b[0m \\x1b[2J"
