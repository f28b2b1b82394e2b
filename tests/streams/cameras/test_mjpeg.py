import contextlib
import socket
import threading
import time

import cv2
import numpy as np
import pytest
from support.stream_material import CLOCK, jpeg, read_some

from sji_edge.core.errors import SourceError
from sji_edge.streams.cameras.mjpeg import _EndSearch
from sji_edge.streams.spec import open_source

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=part\r\n\r\n"


@contextlib.contextmanager
def answering(talk):
    """A server that passes each connection to ``talk(connection, number)`` in its own thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()
    open_now: list[socket.socket] = []

    def serve():
        for number in range(1000):
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            open_now.append(connection)
            threading.Thread(target=one, args=(connection, number), daemon=True).start()

    def one(connection, number):
        with contextlib.suppress(OSError), connection:
            connection.recv(65536)
            talk(connection, number, ended)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        listener.close()
        for connection in open_now:
            connection.close()


def slowly(connection, data, ended):
    for value in data:
        if ended.wait(0.05):
            return
        connection.sendall(bytes((value,)))


def url(port, options="timeout=0.5&reconnect=0"):
    return f"http://line:s3cret@127.0.0.1:{port}/live?{options}"


def test_headers_that_come_byte_by_byte_end_at_the_deadline():
    def talk(connection, number, ended):
        slowly(connection, HEAD * 9, ended)

    with answering(talk) as port:
        started = time.perf_counter()
        with pytest.raises(SourceError, match="no answer in time"):
            open_source(url(port), CLOCK)
        assert time.perf_counter() - started < 2


def test_a_camera_that_trickles_after_a_loss_does_not_outlast_the_reconnect_limit():
    def talk(connection, number, ended):
        if number == 0:
            data = jpeg(90)
            connection.sendall(HEAD + b"--part\r\nContent-Length: %d\r\n\r\n" % len(data) + data + b"\r\n")
        else:
            slowly(connection, HEAD * 99, ended)

    with answering(talk) as port:
        source = open_source(url(port, "timeout=0.5&reconnect=1.5"), CLOCK)
        started = time.perf_counter()
        with pytest.raises(SourceError, match=r"did not come back within 1\.5 s"):
            list(source)
        assert time.perf_counter() - started < 5
        source.close()


def test_an_image_that_comes_byte_by_byte_is_a_loss_and_leaves_no_thread():
    def talk(connection, number, ended):
        data = jpeg(90)
        connection.sendall(HEAD + b"--part\r\nContent-Length: %d\r\n\r\n" % len(data))
        slowly(connection, data, ended)

    before = set(threading.enumerate())

    def left():
        return [one for one in threading.enumerate() if one.name in ("grab", "open") and one not in before]

    with answering(talk) as port:
        source = open_source(url(port, "timeout=0.4&reconnect=1"), CLOCK)
        with pytest.raises(SourceError):
            list(source)
        source.close()
        deadline = time.perf_counter() + 3
        while time.perf_counter() < deadline and left():
            time.sleep(0.02)
        assert not left()


@pytest.mark.parametrize("code", ["301 Moved", "404 line:s3cret", "599 s3cret", "200 OK"])
def test_nothing_that_a_camera_says_reaches_an_error(code, capfd):
    def talk(connection, number, ended):
        connection.sendall(
            f"HTTP/1.1 {code} s3cret\x1b[2J\r\nLocation: http://line:s3cret@h/\r\nX: s3cret\r\n"
            "Content-Type: text/s3cret\r\nContent-Length: 6\r\n\r\ns3cret".encode()
        )

    with answering(talk) as port, pytest.raises(SourceError) as caught:
        open_source(url(port), CLOCK)
    said = caught.value.message + caught.value.hint + "".join(capfd.readouterr())
    assert "s3cret" not in said
    assert said.isprintable()
    if code.startswith("301"):
        assert "answers 301 Moved Permanently" in said
        assert "redirects" in said


def test_a_damaged_part_is_an_error_of_that_frame_alone():
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8), (5, 5), 0)
    good = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_RST_INTERVAL, 8])[1].tobytes()
    bad = good[:5000] + bytes(200) + good[5200:]

    def talk(connection, number, ended):
        connection.sendall(HEAD)
        for data in (good, bad, good):
            connection.sendall(b"--part\r\nContent-Length: %d\r\n\r\n" % len(data) + data + b"\r\n")
        ended.wait(5)

    with answering(talk) as port:
        source = open_source(url(port, "timeout=3&reconnect=0"), CLOCK)
        frames = read_some(source, 3)
        source.close()
    assert [frame.pixels is None for frame in frames] == [False, True, False]
    assert "cannot be decoded" in frames[1].error


def test_a_large_image_without_a_length_is_read_in_linear_time():
    noise = np.random.default_rng(0).integers(0, 256, (3000, 3000), np.uint8)
    data = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    assert len(data) > 6_000_000

    def talk(connection, number, ended):
        connection.sendall(HEAD)
        while not ended.is_set():
            connection.sendall(b"--part\r\nContent-Type: image/jpeg\r\n\r\n" + data + b"\r\n")

    with answering(talk) as port:
        source = open_source(url(port, "timeout=20&reconnect=0"), CLOCK)
        started = time.perf_counter()
        frames = read_some(source, 3)
        taken = time.perf_counter() - started
        source.close()
    assert all(frame.pixels is not None for frame in frames)
    assert taken < 5, "each frame took seconds when its end was searched from the start of each line"


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image():
    image = jpeg(90)
    thumbnail = b"\xff\xe1" + (2 + len(image)).to_bytes(2, "big") + image
    data = image[:2] + thumbnail + image[2:]
    for step in (1, 7, 64, len(data)):
        search, found = _EndSearch(), -1
        for end in range(step, len(data) + step + 20, step):
            found = search.end_in(bytearray((data + b"\r\n--part--extra")[:end]))
            if found >= 0:
                break
        assert found == len(data)
