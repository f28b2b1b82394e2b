import json
import re
import socket
import struct
import threading
import urllib.error
import urllib.request
from contextlib import closing

import pytest
from support.bright_model import image_judge
from support.grey_frames import GREYS, frames, verdict

from sji_edge.core.errors import UsageError
from sji_edge.inspection.loop import Inspection
from sji_edge.inspection.observe.metrics_server import MetricsServer
from sji_edge.inspection.observe.shadow import ShadowReport
from sji_edge.inspection.observe.status_formats import CONTENT_TYPE, prometheus_text, status_line
from sji_edge.testing import FakeClock

SAMPLE = re.compile(
    r'(sji_edge_[a-z0-9_]+)(?:\{((?:[a-z0-9_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? ([-+.0-9e]+)'
)


@pytest.fixture
def summary(tmp_path):
    return Inspection(frames(), image_judge(tmp_path), [], FakeClock(step_s=0.001)).run()


def parse(text):
    """Read samples as a scraper would; a line that is neither one nor a comment is a fault."""
    samples = {}
    for line in text.splitlines():
        if not line.startswith(("# HELP ", "# TYPE ")):
            found = SAMPLE.fullmatch(line)
            assert found, line
            samples[found[1], found[2] or ""] = float(found[3])
    return samples


def test_prometheus_text_has_the_counts_of_the_run(summary):
    text = prometheus_text(summary, {"engine": 'a "b"\\'}, ShadowReport(replayed=5, flips=1))
    samples = parse(text)
    passed = sum(verdict(grey**8 / (grey**8 + 60.0**8)) == "PASS" for grey in GREYS)
    assert samples["sji_edge_boards_total", 'verdict="PASS"'] == passed
    assert samples["sji_edge_frames_captured_total", ""] == len(GREYS)
    assert samples["sji_edge_frames_in_flight", ""] == 0
    assert samples["sji_edge_latency_seconds_count", 'stage="end_to_end"'] == len(GREYS)
    assert samples["sji_edge_latency_seconds", 'stage="infer",quantile="0.99"'] > 0
    assert samples["sji_edge_latency_seconds_sum", 'stage="infer"'] == pytest.approx(
        summary.latency["infer"].total_ms / 1e3
    )
    assert samples["sji_edge_shadow_flips_total", ""] == 1
    typed = re.findall(r"# TYPE (\S+) counter", text)
    assert typed
    assert all(name.endswith("_total") for name in typed)


def test_status_is_one_line_of_json(summary):
    line = status_line(summary, ShadowReport(replayed=2))
    assert "\n" not in line
    status = json.loads(line)
    assert status["captured"] == status["judged"] == sum(status["boards"].values()) == len(GREYS)
    assert set(status["latency_ms"]["end to end"]) == {"mean", "p50", "p90", "p99", "p99.9", "max"}
    assert status["shadow"]["replayed"] == 2


def test_server_answers_on_the_loopback_address_only_for_metrics():
    with closing(MetricsServer(0, lambda: "sji_edge_up 1\n")) as server:
        root = f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{root}/metrics") as answer:
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            assert answer.read() == b"sji_edge_up 1\n"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{root}/")
        assert caught.value.code == 404
        caught.value.close()
        with pytest.raises(UsageError, match="cannot serve metrics"):
            MetricsServer(server.port, str)


def test_client_that_leaves_before_its_answer_prints_nothing(capfd):
    asked, left = threading.Event(), threading.Event()

    def slowly():
        asked.set()
        left.wait(10)
        return "sji_edge_up 1\n" * 200_000

    with closing(MetricsServer(0, slowly)) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert asked.wait(10)
        client.close()
        left.set()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
            assert answer.status == 200
            answer.read()
    assert capfd.readouterr() == ("", "")
