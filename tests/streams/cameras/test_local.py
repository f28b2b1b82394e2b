import time

import cv2
import numpy as np
import pytest
from support.stream_material import CLOCK, SIZE, Reading, write_video

from sji_edge.core.errors import SourceError, UsageError
from sji_edge.streams.cameras.capture import open_capture
from sji_edge.streams.cameras.live import Grabbed, LiveSource
from sji_edge.streams.cameras.local import CameraOptions, CaptureGrabber, apply_options
from sji_edge.streams.spec import open_source


@pytest.fixture
def clip(tmp_path):
    # A file's capture refuses every setting but what it has anyway: a driver at its most stubborn.
    return open_capture(str(write_video(tmp_path / "clip.avi", 5)), cv2.CAP_ANY)


def test_refused_options_are_reported_with_the_values_in_use(clip):
    wanted = CameraOptions(size="1920x1080", fps=120, format="YUYV", exposure="100")
    refused = "; ".join(apply_options(clip, wanted))
    for text in ("size 1920x1080 (it uses 64x48)", "120 fps (it uses 10)", "format YUYV", "exposure 100"):
        assert text in refused


def test_options_that_the_device_has_are_taken(clip):
    assert apply_options(clip, CameraOptions(size=f"{SIZE[0]}x{SIZE[1]}", fps=10)) == []
    assert apply_options(clip, CameraOptions()) == []


@pytest.mark.parametrize("options", ["size=big", "fps=0", "format=MJPEG", "exposure=bright", "size=0x10"])
def test_options_are_checked_before_the_device_is_looked_for(options):
    with pytest.raises(UsageError, match=options.partition("=")[0]):
        open_source(f"camera98?{options}", CLOCK)


def test_camera_that_stops_giving_frames_is_lost(clip):
    source = LiveSource(CaptureGrabber(clip, "camera0"), "camera0", CLOCK, timeout_s=5)
    frames = []
    with pytest.raises(SourceError, match="camera0 was lost after 5 frames"):
        frames.extend(iter(source))
    assert len(frames) == 5
    source.close()


class Hanging:
    """A driver that does not come back in time."""

    def __init__(self, hang_s):
        self.hang_s, self.released = hang_s, False

    def grab(self):
        time.sleep(self.hang_s)
        return Grabbed(np.zeros((4, 4), np.uint8))

    def release(self):
        self.released = True


def test_driver_that_hangs_is_a_lost_source_and_is_released_when_it_returns():
    driver = Hanging(0.4)
    source = LiveSource(driver, "camera0", CLOCK, timeout_s=0.1)
    with pytest.raises(SourceError, match=r"no frame for 0\.1 s"):
        list(source)
    assert not driver.released
    source.close()
    assert driver.released


def test_close_does_not_wait_for_a_hung_driver():
    source = LiveSource(Hanging(2.0), "camera0", CLOCK, timeout_s=None)
    reading = Reading(source)
    started = time.perf_counter()
    source.close()
    assert reading.ended(1)
    assert time.perf_counter() - started < 1
    assert reading.frames == []


class Numbered(Hanging):
    """A driver that says what it lost, with samples of several kinds."""

    def __init__(self, *grabbed):
        super().__init__(0)
        self.left = list(grabbed)

    def grab(self):
        return self.left.pop(0) if self.left else None


def test_a_frame_reports_the_frames_that_its_device_lost():
    sixteen = np.full((2, 3), 257 * 9, np.uint16)
    source = LiveSource(
        Numbered(
            Grabbed(sixteen, missed=3),
            Grabbed(None, "half a picture", 1),
            Grabbed(np.zeros((2, 3), np.float32)),
        ),
        "cam",
        CLOCK,
        timeout_s=1,
    )
    first, second, third = source
    assert (first.missed, int(first.pixels[0, 0])) == (3, 9)
    assert (second.pixels, second.error, second.missed) == (None, "half a picture", 1)
    assert third.pixels is None
    assert "float32" in third.error


class RawCapture:
    """A capture that hands out a webcam's JPEG images as they came over the cable, as OpenCV does on request."""

    def __init__(self, images):
        self._images = iter(images)

    def read(self):
        data = next(self._images, None)
        return data is not None, None if data is None else np.frombuffer(data, np.uint8)[None]

    def release(self):
        pass


def test_a_damaged_image_of_a_webcam_is_an_error_of_that_frame_alone():
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8), (5, 5), 0)
    good = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_RST_INTERVAL, 8])[1].tobytes()
    bad = good[:9000] + bytes(200) + good[9200:]
    grabber = CaptureGrabber(RawCapture([good, bad, good]), "camera0")
    first, second, third = (grabber.grab() for _ in range(3))
    assert first.image.shape == third.image.shape == (300, 300, 3)
    assert second.image is None
    assert "image 2 of camera0 cannot be decoded" in second.error
    with pytest.raises(SourceError, match="lost after 3 frames"):
        grabber.grab()
