"""What every registered source keeps. A new kind needs one entry in ``OPENERS``, or fails here."""

import datetime
import ipaddress
import ssl
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.camera_servers import serving
from support.stream_material import CLOCK, Reading, write_images, write_video
from support.vision_devices import SERIAL, gige_camera, producer

from sji_edge.core.errors import SourceError, UsageError
from sji_edge.streams import SOURCES
from sji_edge.streams.cameras.capture import open_capture
from sji_edge.streams.cameras.live import LiveSource
from sji_edge.streams.cameras.local import CaptureGrabber
from sji_edge.streams.spec import open_source

FRAMES = 4


@contextmanager
def folder(place):
    yield open_source(str(write_images(place / "in", [f"{n}.png" for n in range(FRAMES)])), CLOCK)


@contextmanager
def watch(place):
    root = write_images(place / "in", [f"{n}.png" for n in range(FRAMES)])
    yield open_source(f"{root}?watch=1&settle=0.02", CLOCK)


@contextmanager
def video(place):
    yield open_source(str(write_video(place / "clip.avi", FRAMES)), CLOCK)


class EndlessClip:
    """OpenCV's capture of a file that starts again, as slow as a camera."""

    def __init__(self, path):
        self._capture = open_capture(str(path), cv2.CAP_ANY)

    def read(self):
        time.sleep(0.005)
        there, image = self._capture.read()
        if not there:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            there, image = self._capture.read()
        return there, image

    def release(self):
        self._capture.release()


@contextmanager
def camera(place):
    # There is no camera on a test machine: the same source on a file.
    clip = EndlessClip(write_video(place / "clip.avi", 8))
    yield LiveSource(CaptureGrabber(clip, "camera0"), "camera0", CLOCK, timeout_s=5)


@contextmanager
def synthetic(place):
    yield open_source("synthetic://?joints=4&fps=100&boards=2", CLOCK)


@contextmanager
def http(place):
    with serving("http") as server:
        yield open_source(f"http://127.0.0.1:{server.port}/?timeout=3", CLOCK)


@contextmanager
def https(place):
    with pytest.MonkeyPatch.context() as patch, serving("http", tls=_certificate(place)) as server:
        patch.setenv("SSL_CERT_FILE", str(place / "certificate.pem"))
        yield open_source(f"https://127.0.0.1:{server.port}/?timeout=3", CLOCK)


@contextmanager
def rtsp(place):
    with serving("rtsp") as server:
        yield open_source(f"rtsp://127.0.0.1:{server.port}/live?timeout=3", CLOCK)


@contextmanager
def genicam(place):
    yield open_source(f"genicam://VikyTL_DEV_red?cti={producer()}&fps=100", CLOCK)


@contextmanager
def aravis(place):
    with gige_camera():
        yield open_source(f"aravis://{SERIAL}", CLOCK)


KINDS = (folder, watch, video, camera, synthetic, http, https, rtsp, genicam, aravis)
OPENERS = {opener.__name__: opener for opener in KINDS}
SLOW = {"aravis"}
"""It looks for cameras for a second each time."""
ENDING = {"folder", "video"}
MISSING = {
    "camera": "98",
    "http": "http://127.0.0.1:9/",
    "https": "https://127.0.0.1:9/",
    "rtsp": "rtsp://127.0.0.1:9/",
}


def _certificate(place: Path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "camera")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (place / "certificate.pem").write_bytes(made.public_bytes(encoding))
    plain = serialization.NoEncryption()
    (place / "key.pem").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "certificate.pem", place / "key.pem")
    return context


@pytest.fixture(
    params=[pytest.param(kind, marks=pytest.mark.slow) if kind in SLOW else kind for kind in SOURCES.names()]
)
def kind(request):
    return request.param


@pytest.fixture
def source(kind, tmp_path):
    with ExitStack() as stack:
        opened = stack.enter_context(OPENERS[kind](tmp_path))
        yield opened
        opened.close()


def test_frames_are_numbered_stamped_and_named(source):
    before_ns = CLOCK.monotonic_ns()
    frames = [frame for _, frame in zip(range(FRAMES), source, strict=False)]
    assert [frame.index for frame in frames] == list(range(FRAMES))
    stamps = [before_ns, *(frame.captured_ns for frame in frames), CLOCK.monotonic_ns()]
    assert stamps == sorted(stamps)
    assert len({frame.name for frame in frames}) == FRAMES
    for frame in frames:
        assert frame.pixels.dtype == np.uint8
        assert frame.pixels.ndim == 2 or frame.pixels.shape[2] == 3
        assert (frame.error, frame.away, frame.missed) == ("", False, 0)


def test_a_second_close_does_nothing_and_no_frame_comes_after(source):
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []


def test_close_in_another_thread_ends_the_iteration_at_once(source, kind):
    reading = Reading(source)
    assert reading.wait_for(lambda frames: len(frames) >= 2)
    if kind not in ENDING:
        assert not reading.ended(0.05)
    before_ns = CLOCK.monotonic_ns()
    source.close()
    assert reading.ended(1.0)
    assert CLOCK.monotonic_ns() - before_ns < 1e9
    assert reading.error is None


def test_unknown_options_are_refused(kind, tmp_path):
    with pytest.raises(UsageError, match="'nonsense'"):
        _open(kind, MISSING.get(kind, str(tmp_path)), {"nonsense": "1"})


def test_a_target_that_is_not_there_is_an_error(kind, tmp_path):
    with pytest.raises(SourceError) as caught:
        _open(kind, MISSING.get(kind, str(tmp_path / "none")), {})
    assert caught.value.exit_code == 6


def _open(kind, target, options):
    target = "" if kind == "synthetic" and options else target
    return SOURCES.get(kind).open(target, options, clock=CLOCK, colour=True, skip=frozenset())
