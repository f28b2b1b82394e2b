import signal
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stream_material import CLOCK, Reading, read_some
from support.vision_devices import SERIAL, gige_camera, producer

from sji_edge.core.errors import DataError, SourceError, UsageError
from sji_edge.core.images.read import as_uint8
from sji_edge.streams.genicam.camera import SHORT_COUNTER, missed_between
from sji_edge.streams.genicam.pixel_format import CHANNELS, NAME_OF_CODE, UNUSED_BITS, image_of
from sji_edge.streams.spec import open_source, runs_free

BGR = (200, 90, 30)
ORDER = {"R": 2, "G": 1, "B": 0}


@pytest.mark.parametrize("pixel_format", ["BayerRG8", "BayerGR8", "BayerGB8", "BayerBG8"])
def test_mosaic_of_one_colour_is_that_colour(pixel_format):
    first, second = pixel_format[5], pixel_format[6]
    # The row below holds the other green, and the colour that the first row lacks.
    below = {"RG": "GB", "GR": "BG", "GB": "RG", "BG": "GR"}[first + second]
    tile = np.array([[BGR[ORDER[letter]] for letter in row] for row in (first + second, below)], np.uint8)
    image = image_of(np.tile(tile, (8, 8)).ravel(), 16, 16, pixel_format)
    assert image.shape == (16, 16, 3)
    np.testing.assert_array_equal(image[4:-4, 4:-4], np.full((8, 8, 3), BGR, np.uint8))


@pytest.mark.parametrize(("pixel_format", "channels"), CHANNELS.items())
def test_interleaved_colours_become_bgr(pixel_format, channels):
    letters = pixel_format.removesuffix("8").upper()
    pixel = [BGR[ORDER[letter]] if letter in ORDER else 255 for letter in letters]
    image = image_of(np.tile(np.array(pixel, np.uint8), 12), 4, 3, pixel_format)
    np.testing.assert_array_equal(image, np.full((3, 4, 3), BGR, np.uint8))


@pytest.mark.parametrize(("pixel_format", "unused"), UNUSED_BITS.items())
def test_white_of_every_depth_is_white(pixel_format, unused):
    white = (1 << (16 - unused)) - 1
    image = image_of(np.array([0, white] * 3, "<u2").view(np.uint8), 2, 3, pixel_format)
    assert image.dtype == np.uint16
    assert image[0].tolist() == [0, white << unused]
    assert as_uint8(image)[0].tolist() == [0, 255]


def test_bytes_that_are_no_image_are_refused_and_trailing_ones_left_alone():
    assert image_of(np.arange(8, dtype=np.uint8), 3, 2, "Mono8").tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(DataError, match="5 bytes"):
        image_of(np.zeros(5, np.uint8), 3, 2, "Mono8")
    with pytest.raises(DataError, match="Mono12p"):
        image_of(np.zeros(9, np.uint8), 3, 2, "Mono12p")
    assert set(CHANNELS) <= set(NAME_OF_CODE.values())


@given(st.integers(1, SHORT_COUNTER), st.integers(0, 5000))
def test_lost_frames_are_counted_over_the_wrap_of_a_short_counter(start, lost):
    now = start
    for _ in range(lost + 1):
        now = 1 if now == SHORT_COUNTER else now + 1
    assert missed_between(start, now) == lost


def test_a_counter_that_restarts_or_is_missing_counts_nothing():
    assert missed_between(None, 9) == missed_between(9, None) == 0
    assert missed_between(500, 1) == 0
    assert missed_between(2**40, 1) == 0
    assert missed_between(2**40, 2**40 + 3) == 2


def genicam(name="VikyTL_DEV_red", options=""):
    return open_source(f"genicam://{name}?cti={producer()}&reconnect=0{options}", CLOCK)


def test_cameras_of_a_producer_are_told_apart_by_name():
    with pytest.raises(SourceError, match="3 cameras match"):
        genicam("")
    with pytest.raises(SourceError, match="no camera 'VikyTL_DEV_pink'"):
        genicam("VikyTL_DEV_pink")
    with pytest.raises(SourceError, match="no GenTL producer"):
        open_source("genicam://?cti=/nowhere/none.cti", CLOCK)


def test_a_feature_that_a_camera_lacks_or_refuses_is_reported():
    with pytest.raises(SourceError, match="no feature TriggerSelector"):
        genicam(options="&trigger=software")
    with pytest.raises(SourceError, match="refused PixelFormat Mono77"):
        genicam(options="&format=Mono77")
    with pytest.raises(UsageError, match="trigger"):
        genicam(options="&trigger=sometimes")


def test_frames_that_a_slow_reader_lost_are_counted_by_their_ids():
    source = genicam(options="&fps=100")
    assert runs_free(source)
    started = time.perf_counter()
    frames = iter(source)
    next(frames)
    time.sleep(0.5)
    late = read_some(frames, 20)
    elapsed_s = time.perf_counter() - started
    source.close()
    missed = sum(frame.missed for frame in late)
    assert missed > 5
    # Delivered and lost frames add up to what a camera of that rate takes, within its jitter.
    assert len(late) + missed == pytest.approx(100 * elapsed_s, rel=0.5)


def test_opening_a_camera_leaves_the_handler_of_ctrl_c_as_it_was():
    before = signal.getsignal(signal.SIGINT)
    source = genicam(options="&fps=100")
    try:
        next(iter(source))
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        source.close()


def aravis(options=""):
    return open_source(f"aravis://{SERIAL}?{options}", CLOCK)


def test_a_software_trigger_gives_one_frame_per_request():
    with gige_camera():
        source = aravis("trigger=software&exposure=2000&reconnect=0")
        assert not runs_free(source)
        frames = iter(source)
        first = next(frames)
        time.sleep(0.2)
        second, third = next(frames), next(frames)
        source.close()
    assert [first.missed, second.missed, third.missed] == [0, 0, 0]
    assert second.captured_ns - first.captured_ns > 0.2e9
    assert first.pixels.shape == (512, 512)


@pytest.mark.slow
def test_settings_reach_the_device_and_refusals_are_reported():
    with gige_camera():
        shown = []
        for exposure in (9000, 1000):
            source = aravis(f"exposure={exposure}&reconnect=0")
            shown.append(read_some(source, 1)[0].pixels.mean())
            source.close()
        assert shown[0] > 2 * shown[1]
        colour = aravis("format=BayerRG8&reconnect=0")
        assert read_some(colour, 1)[0].pixels.shape == (512, 512, 3)
        colour.close()
        for options, said in (("format=Nope", "PixelFormat Nope"), ("exposure=1e12", "it uses")):
            with pytest.raises(SourceError, match=said):
                aravis(options)
        with pytest.raises(SourceError, match="Aravis sees"):
            open_source("aravis://NOT-THERE", CLOCK)


@pytest.mark.slow
def test_frame_whose_packets_were_lost_is_a_frame_without_pixels():
    with gige_camera("-r", "20"):
        source = aravis("reconnect=0")
        frames = read_some(source, 12)
        source.close()
    damaged = [frame for frame in frames if frame.pixels is None]
    assert damaged
    assert all("is damaged" in frame.error for frame in damaged)
    assert [frame.index for frame in frames] == list(range(12))


@pytest.mark.slow
@pytest.mark.parametrize("trigger", ["off", "hardware"])
def test_device_that_loses_its_power_is_away_until_it_is_back(trigger):
    with gige_camera() as camera:
        # The device runs freely and takes a trigger line it has: none comes, and its loss is noticed all the same.
        source = aravis(
            f"trigger={trigger}&timeout=1&reconnect=40" + ("&line=Line0" if trigger != "off" else "")
        )
        reading = Reading(source)
        if trigger == "off":
            assert reading.wait_for(lambda frames: len(frames) >= 3)
        camera.kill()
        assert reading.wait_for(lambda frames: frames and frames[-1].away, 15)
        camera.start()
        if trigger == "off":
            count = len(reading.frames)
            assert reading.wait_for(lambda frames: any(not frame.away for frame in frames[count:]), 20)
        source.close()
        assert reading.ended(5)
    assert reading.error is None
