import subprocess
import sys

import cv2
import numpy as np
import pytest
from support.stream_material import CLOCK, read_all, write_video

from sji_edge.core.errors import SourceError
from sji_edge.streams.spec import open_source

SIZE = (320, 240)


def moving(frames: int) -> list[np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    base = cv2.GaussianBlur(noise, (7, 7), 0)
    return [np.roll(base, 3 * number, 1) for number in range(frames)]


def write(path, code: str, frames: int):
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), 10, SIZE)
    assert writer.isOpened()
    for image in moving(frames):
        writer.write(image)
    writer.release()
    return path


def damage(path, where: float, count: int = 400):
    data = bytearray(path.read_bytes())
    start = int(len(data) * where)
    data[start : start + count] = bytes(count)
    path.write_bytes(data)


@pytest.mark.parametrize(("name", "code"), [("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("a.avi", "FFV1")])
def test_a_good_video_gives_every_frame_with_pixels(tmp_path, name, code):
    frames = read_all(write(tmp_path / name, code, 40))
    assert len(frames) == 40
    assert all(frame.pixels is not None for frame in frames)
    errors = [
        np.abs(frame.pixels.astype(int) - image).mean()
        for frame, image in zip(frames, moving(40), strict=True)
    ]
    assert max(errors) < 12


def test_a_damaged_frame_of_motion_jpeg_has_no_pixels_and_the_others_have(tmp_path):
    path = write(tmp_path / "a.avi", "MJPG", 20)
    damage(path, 0.5)
    frames = read_all(path)
    assert [frame.index for frame in frames if frame.pixels is None] == [9]
    assert "a.avi#000009 cannot be decoded" in frames[9].error


def test_a_damaged_frame_and_those_that_build_on_it_have_no_pixels(tmp_path, capfd):
    path = write(tmp_path / "a.mp4", "mp4v", 60)
    good = [frame.pixels for frame in read_all(path)]
    damage(path, 0.3, 300)
    frames = read_all(path)
    changed = [index for index, frame in enumerate(frames)
               if frame.pixels is not None and not np.array_equal(frame.pixels, good[index])]  # fmt: skip
    lost = [frame.index for frame in frames if frame.pixels is None]
    assert changed == []
    assert lost == list(range(lost[0], lost[0] + len(lost)))
    assert 16 < len(lost) < 40, "trusted again after a key frame"
    assert "damaged data" in frames[lost[0]].error
    assert capfd.readouterr().err == ""


def test_a_video_that_gives_fewer_frames_than_it_announces_is_lost(tmp_path):
    path = write_video(tmp_path / "a.avi", 40)
    data = path.read_bytes()
    # The header still announces 40 frames; the index and the last frame are gone.
    path.write_bytes(data[: data.rindex(b"00dc", 0, data.rindex(b"idx1"))])
    with pytest.raises(SourceError, match="yielded 39 frames of the 40"):
        read_all(path)


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile '{}'\n", "#EXTM3U\n{}\n", "file '{}'\n", "<MPD>{}</MPD>\n"]
)
def test_a_text_that_names_other_videos_is_not_followed(tmp_path, text):
    other = write_video(tmp_path / "other.avi", 3)
    (tmp_path / "clip.mp4").write_text(text.format(other))
    with pytest.raises(SourceError, match="is a text file, not a video"):
        open_source(str(tmp_path / "clip.mp4"), CLOCK)


def test_frames_that_change_size_keep_their_own(tmp_path):
    path = write_video(tmp_path / "a.avi", 3)
    data = path.read_bytes()
    small = cv2.imencode(".jpg", np.full((16, 24, 3), 90, np.uint8))[1].tobytes()
    start = data.rindex(b"00dc", 0, data.rindex(b"idx1"))
    length = int.from_bytes(data[start + 4 : start + 8], "little")
    assert len(small) < length
    path.write_bytes(data[: start + 8] + small.ljust(length, b"\0") + data[start + 8 + length :])
    assert [frame.pixels.shape[:2] for frame in read_all(path)] == [(48, 64), (48, 64), (16, 24)]


def test_the_process_ends_cleanly_while_a_damaged_video_is_open(tmp_path):
    path = write(tmp_path / "a.mp4", "mp4v", 30)
    damage(path, 0.2)
    code = (
        "from sji_edge.core.clock import SystemClock\n"
        "from sji_edge.streams.spec import open_source\n"
        f"source = open_source({str(path)!r}, SystemClock())\n"
        "next(iter(source))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
