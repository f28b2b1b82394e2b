"""Measures the review station with many open calls: start, page, lists, answers and memory.

    python benchmarks/station_speed.py --calls 100000

Writes a database of boards with ten calls each among forty joints that passed, starts ``sji-edge review`` as a
process of its own, and talks to it over HTTP as its pages do. Answers are measured from the request to its whole
answer, which comes after the row is on disk; first one person, then two at once. ``--folder`` selects the disk.
"""

import argparse
import http.client
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sji_edge.records.write.sqlite import SqliteSink

CALLED, PASSED = 10, 40
START = datetime(2026, 1, 31, tzinfo=UTC)


class Client:
    """One browser."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._connection.connect()
        # As browsers do; http.client sends a request's head and body apart.
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        page = self.get("/verify")
        self._token = re.search(rb'data-csrf="([0-9a-f]+)"', page)[1].decode()  # type: ignore[index]

    def get(self, path: str) -> bytes:
        """Return the body of an answer."""
        headers = {"cookie": getattr(self, "_cookie", "")}
        self._connection.request("GET", path, headers=headers)
        answer = self._connection.getresponse()
        if cookie := answer.getheader("set-cookie"):
            self._cookie = cookie.partition(";")[0]
        body = answer.read()
        assert answer.status == 200, body
        return body

    def post(self, path: str, body: dict[str, object]) -> dict[str, object]:
        """Send JSON and return the answer's."""
        headers = {"cookie": self._cookie, "x-csrf-token": self._token, "content-type": "application/json"}
        self._connection.request("POST", path, json.dumps(body), headers)
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        found: dict[str, object] = json.loads(text)
        return found


def write_database(path: Path, calls: int) -> None:
    SqliteSink(path).close()
    boards = range(1, calls // CALLED + 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(
            "INSERT INTO boards (id, board, frame_index, frame_name, utc, verdict, cause, alignment_residual_px, "
            "engine_sha256, recipe_sha256, latency_ns) VALUES (?, ?, ?, ?, ?, 'FAIL', '', 0.1, 'e', 'r', '{}')",
            (
                (
                    board,
                    f"run-{board:06d}",
                    board,
                    f"b{board}.png",
                    (START + timedelta(seconds=board)).isoformat(),
                )
                for board in boards
            ),
        )
        connection.executemany(
            "INSERT INTO joints (board_id, position, refdes, verdict, score, lower, upper, label, cause) "
            "VALUES (?, ?, ?, ?, ?, 0.3, 0.6, '', '')",
            (
                (
                    board,
                    place,
                    f"J{place:03d}",
                    "FAIL" if place < CALLED else "PASS",
                    0.9 if place < CALLED else 0.1,
                )
                for board in boards
                for place in range(CALLED + PASSED)
            ),
        )
        connection.commit()


def timed(repeat: int, work: Callable[[int], object]) -> str:
    """Return the median, the 99th percentile and the maximum in ms."""
    found = []
    for number in range(repeat):
        begun = time.perf_counter_ns()
        work(number)
        found.append((time.perf_counter_ns() - begun) / 1e6)
    found.sort()
    return f"p50 {found[len(found) // 2]:.1f} ms, p99 {found[int(len(found) * 0.99)]:.1f} ms, max {found[-1]:.1f} ms"


def answer(client: Client, number: int, boards: int, who: int) -> None:
    board = boards - (number // CALLED) * 2 - who
    body = {
        "source": 0,
        "board": board,
        "position": number % CALLED,
        "what": "DefectRejected",
        "seconds": 1.0,
    }
    client.post("/api/verify/decisions", {**body, "token": f"{who:04d}-{number:08d}"})


def memory_mb(pid: int) -> str:
    text = Path(f"/proc/{pid}/status").read_text()
    rss, peak = (int(re.search(rf"{name}:\s+(\d+)", text)[1]) / 1024 for name in ("VmRSS", "VmHWM"))  # type: ignore[index]
    return f"{rss:.0f} MB, peak {peak:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--answers", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        database = Path(folder) / "inspections.db"
        write_database(database, options.calls)
        command = [
            sys.executable,
            "-m",
            "sji_edge",
            "review",
            str(database),
            "--port",
            "0",
            "--blind-share",
            "0",
        ]
        begun = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])
            print(f"start                 {time.perf_counter() - begun:.2f} s")
            try:
                measure(port, process.pid, options.calls // CALLED, options.answers)
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(30)


def measure(port: int, pid: int, boards: int, answers: int) -> None:
    one = Client(port)
    print(f"memory at start       {memory_mb(pid)}")
    print(f"open calls            {json.loads(one.get('/api/verify/queue'))['open']:,}")
    print(f"page                  {timed(50, lambda _: one.get('/verify'))}")
    print(f"list of boards        {timed(50, lambda _: one.get('/api/verify/queue'))}")
    print(f"next board            {timed(50, lambda _: one.get('/api/verify/next'))}")
    print(f"answer, one person    {timed(answers, lambda number: answer(one, number, boards, 0))}")

    def work() -> None:
        second = Client(port)
        for number in range(answers):
            answer(second, number, boards, 1)

    other = threading.Thread(target=work, daemon=True)
    other.start()
    again = timed(answers, lambda number: answer(one, answers + number, boards, 0))
    other.join()
    print(f"answer, two people    {again}")
    left = json.loads(one.get("/api/verify/queue"))["open"]
    assert left == boards * CALLED - 3 * answers, left
    for name in ("pareto", "summary", "boards", "history?refdes=J003"):
        print(f"look: {name:15.15} {timed(3, lambda _, name=name: one.get(f'/api/look/0/{name}'))}")  # type: ignore[misc]
    print(f"memory at the end     {memory_mb(pid)}")


if __name__ == "__main__":
    main()
