import shutil

import cv2
import numpy as np
import pytest
from support.stream_material import CLOCK, Reading, write_images

from sji_edge.core.errors import SourceError, UsageError
from sji_edge.streams.spec import open_source

SETTLE_S = 0.06


def watching(folder, options="", **arguments):
    source = open_source(f"{folder}?watch=1&settle={SETTLE_S}{options}", CLOCK, **arguments)
    return source, Reading(source)


def png(level, size=(40, 30)):
    return cv2.imencode(".png", np.full(size, level, np.uint8))[1].tobytes()


def names(reading):
    return [frame.name for frame in reading.frames]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    return place


def test_images_come_in_the_order_of_their_completion(folder):
    write_images(folder, ["z.png"])
    source, reading = watching(folder)
    assert reading.wait_for(lambda frames: len(frames) == 1)
    for number, name in enumerate(["c.png", "a.png", "b.png"]):
        (folder / name).write_bytes(png(50 + number))
        assert reading.wait_for(lambda frames, wanted=number + 2: len(frames) == wanted)
    (folder / "notes.txt").write_text("x")
    (folder / ".part.png").write_bytes(png(9))
    assert not reading.ended(3 * SETTLE_S)
    source.close()
    assert reading.ended(1)
    assert names(reading) == ["z.png", "c.png", "a.png", "b.png"]
    assert [frame.index for frame in reading.frames] == [0, 1, 2, 3]


def test_file_that_is_still_written_is_not_read_early(folder):
    source, reading = watching(folder)
    data = png(120, (400, 300))
    with (folder / "a.png").open("wb") as stream:
        for at in range(0, len(data), max(1, len(data) // 10)):
            stream.write(data[at : at + max(1, len(data) // 10)])
            stream.flush()
            assert not reading.wait_for(lambda frames: frames, SETTLE_S / 3)
    assert reading.wait_for(lambda frames: frames)
    source.close()
    frame = reading.frames[0]
    assert (frame.error, frame.pixels.shape, int(frame.pixels.min())) == ("", (400, 300), 120)


def test_writer_that_pauses_half_way_is_waited_for(folder):
    source, reading = watching(folder, "&patience=20")
    data = png(120)
    (folder / "a.png").write_bytes(data[: len(data) // 2])
    assert not reading.wait_for(lambda frames: frames, 4 * SETTLE_S)
    with (folder / "a.png").open("ab") as stream:
        stream.write(data[len(data) // 2 :])
    assert reading.wait_for(lambda frames: frames)
    source.close()
    assert [frame.error for frame in reading.frames] == [""]


def test_a_file_that_never_becomes_an_image_is_one_frame_without_pixels_and_delays_nothing(folder):
    source, reading = watching(folder, "&patience=0.3")
    (folder / "a.png").write_bytes(png(120)[:-20])
    (folder / "b.png").write_bytes(png(130))
    assert reading.wait_for(lambda frames: len(frames) == 2)
    assert not reading.ended(4 * SETTLE_S)
    source.close()
    assert names(reading) == ["b.png", "a.png"]
    assert reading.frames[1].pixels is None
    assert "truncated" in reading.frames[1].error


def test_existing_images_are_ignored_on_request_and_a_rewritten_one_is_new(folder):
    write_images(folder, ["old.png", "again.png"])
    source, reading = watching(folder, ignore_existing=True)
    assert not reading.wait_for(lambda frames: frames, 3 * SETTLE_S)
    (folder / "new.png").write_bytes(png(1))
    assert reading.wait_for(lambda frames: len(frames) == 1)
    (folder / ".again").write_bytes(png(77))
    (folder / ".again").rename(folder / "again.png")
    assert reading.wait_for(lambda frames: len(frames) == 2)
    source.close()
    assert names(reading) == ["new.png", "again.png"]
    assert int(reading.frames[1].pixels[0, 0]) == 77


def test_it_remembers_no_more_files_than_the_folder_holds(folder):
    source, reading = watching(folder)
    for number in range(6):
        path = folder / f"{number}.png"
        path.write_bytes(png(number + 20))
        assert reading.wait_for(lambda frames, wanted=number + 1: len(frames) == wanted)
        path.unlink()
    (folder / "last.png").write_bytes(png(99))
    assert reading.wait_for(lambda frames: len(frames) == 7)
    source.close()
    assert reading.ended(1)
    assert set(source._given) == {"last.png"}
    assert not source._candidates


def test_skipped_files_are_skipped(folder):
    write_images(folder, ["golden.png", "a.png"])
    source, reading = watching(folder, skip=[folder / "golden.png"])
    assert reading.wait_for(lambda frames: frames)
    assert not reading.ended(3 * SETTLE_S)
    source.close()
    assert names(reading) == ["a.png"]


def test_folder_that_goes_away_is_a_lost_source(folder):
    write_images(folder, ["a.png"])
    _, reading = watching(folder)
    assert reading.wait_for(lambda frames: frames)
    shutil.rmtree(folder)
    assert reading.ended(2)
    assert isinstance(reading.error, SourceError)


def test_file_that_is_removed_while_it_settles_is_no_frame(folder):
    source, reading = watching(folder)
    (folder / "a.png").write_bytes(png(5)[:-30])
    assert not reading.wait_for(lambda frames: frames, 1.5 * SETTLE_S)
    (folder / "a.png").unlink()
    assert not reading.ended(3 * SETTLE_S)
    source.close()
    assert reading.frames == []


def test_options_are_checked(folder):
    with pytest.raises(UsageError, match="settle"):
        open_source(f"{folder}?watch=1&settle=0", CLOCK)
