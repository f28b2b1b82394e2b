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


def test_options_that_the_device_refused_are_said_with_what_it_has(clip):
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


def test_what_a_device_lost_and_could_not_give_is_said_by_the_frame():
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
