import os
from contextlib import closing

import cv2
import numpy as np
import pytest
from support.stream_material import CLOCK, read_all, write_images, write_video

from sji_edge.core.errors import EnvironmentMismatchError, SourceError, UsageError
from sji_edge.streams.spec import SourceSpec, is_stored, open_source, runs_free


def test_folder_gives_its_images_in_order_and_nothing_else(tmp_path):
    folder = write_images(tmp_path / "in", ["b.png", "a.png", "c.bmp"])
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.png").write_bytes(b"x")
    (folder / "sub.png").mkdir()
    frames = read_all(folder)
    assert [(frame.index, frame.name) for frame in frames] == [(0, "a.png"), (1, "b.png"), (2, "c.bmp")]
    assert [int(frame.pixels[0, 0]) for frame in frames] == [15, 5, 25]
    assert [frame.captured_ns for frame in frames] == sorted(frame.captured_ns for frame in frames)


def test_files_to_skip_are_skipped_by_place_and_not_by_name(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png", "golden.png"])
    other = write_images(tmp_path / "recipe", ["golden.png"])
    assert [frame.name for frame in read_all(folder, skip=[folder / "golden.png"])] == ["a.png"]
    assert [frame.name for frame in read_all(folder, skip=[other / "golden.png"])] == ["a.png", "golden.png"]
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert [frame.name for frame in read_all(folder, skip=[link / "golden.png"])] == ["a.png"]


@pytest.mark.parametrize("content", [b"", b"text, no image", "half"])
def test_image_that_cannot_be_decoded_is_a_frame_without_pixels_and_the_stream_goes_on(tmp_path, content):
    folder = write_images(tmp_path / "in", ["a.png", "b.png", "c.png"], size=(60, 60))
    broken = folder / "b.png"
    broken.write_bytes(broken.read_bytes()[:-40] if content == "half" else content)
    first, second, third = read_all(folder)
    assert second.pixels is None
    assert "b.png" in second.error
    assert first.pixels is not None
    assert third.pixels is not None
    assert (third.index, third.error) == (2, "")


def test_single_image_is_a_stream_of_one(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png", "b.png"])
    assert [frame.name for frame in read_all(folder / "b.png")] == ["b.png"]


def test_colour_can_be_brought_to_grey(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((5, 6, 3), (10, 20, 30), np.uint8))
    assert read_all(tmp_path)[0].pixels.shape == (5, 6, 3)
    assert read_all(tmp_path, colour=False)[0].pixels.shape == (5, 6)


def test_video_gives_every_frame(tmp_path):
    frames = read_all(write_video(tmp_path / "clip.avi", 7))
    assert [frame.index for frame in frames] == list(range(7))
    assert frames[3].name == "clip.avi#000003"
    means = [float(frame.pixels.mean()) for frame in frames]
    assert means == pytest.approx([20 * number + 20 for number in range(7)], abs=3)


def test_truncated_video_is_a_lost_source_after_the_frames_it_has(tmp_path):
    path = write_video(tmp_path / "clip.avi", 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = open_source(str(path), CLOCK)
    frames = []
    with pytest.raises(SourceError):
        frames.extend(iter(source))
    source.close()


@pytest.mark.parametrize(
    "text",
    [
        "nothing/here",
        "clip.mp4",
        "camera99",
        "99",
        "/dev/video99",
        "empty",
        "bad.mp4",
        "in/*.png",
        "no?watch=1",
    ],
)
def test_missing_source_is_an_error_with_exit_code_6_and_nothing_on_the_terminal(
    tmp_path, monkeypatch, capfd, text
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 50)
    with pytest.raises(SourceError) as caught:
        open_source(text, CLOCK)
    assert caught.value.exit_code == 6
    assert capfd.readouterr() == ("", "")


def test_unknown_scheme_and_option_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="'rstp'"):
        open_source("rstp://host/stream", CLOCK)
    with pytest.raises(UsageError, match="'watsh'"):
        open_source(f"{tmp_path}?watsh=1", CLOCK)
    with pytest.raises(UsageError, match="empty"):
        open_source(" ", CLOCK)


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("camera0", "camera", "0"),
        ("3", "camera", "3"),
        ("/dev/video12", "camera", "12"),
        ("folder:///data/in", "folder", "/data/in"),
        ("video://clip.bin", "video", "clip.bin"),
        ("watch://in", "watch", "in"),
        ("frames/b??.png", "folder", "frames/b??.png"),
        ("RTSP://camera/live?x=1", "rtsp", "RTSP://camera/live?x=1"),
    ],
)
def test_names_of_sources(text, kind, target):
    assert SourceSpec.parse(text) == SourceSpec(kind, target)


def test_what_exists_as_a_path_is_that_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "camera0", ["a.png"])
    write_images(tmp_path / "in?x=1", ["b.png"])
    assert [frame.name for frame in read_all("camera0")] == ["a.png"]
    assert [frame.name for frame in read_all("in?x=1")] == ["b.png"]


def test_options_follow_the_last_question_mark_that_has_an_equals_sign(tmp_path):
    assert SourceSpec.parse("synthetic://?seed=3&fps=5").options == {"seed": "3", "fps": "5"}
    assert SourceSpec.parse(f"{tmp_path}?watch=1&settle=1") == SourceSpec(
        "watch", str(tmp_path), {"settle": "1"}
    )
    assert SourceSpec.parse(f"{tmp_path}?watch=0").kind == "folder"
    assert SourceSpec.parse("in/a?.png").options == {}


def test_pattern_gives_what_fits_it_named_from_its_fixed_part(tmp_path):
    for name in ("a", "b"):
        write_images(tmp_path / name, ["1.png", "2.png", "3.bmp"])
    assert [frame.name for frame in read_all(tmp_path / "*" / "[12].png")] == [
        "a/1.png", "a/2.png", "b/1.png", "b/2.png",
    ]  # fmt: skip
    assert [frame.name for frame in read_all(tmp_path / "a" / "?.bmp")] == ["3.bmp"]


def test_reading_ahead_keeps_order_and_stops_at_close(tmp_path):
    folder = write_images(tmp_path / "in", [f"{number:02d}.png" for number in range(12)])
    source = open_source(str(folder), CLOCK)
    frames = iter(source)
    assert [int(next(frames).pixels[0, 0]) for _ in range(5)] == [5, 15, 25, 35, 45]
    source.close()
    assert list(frames) == []


def test_video_that_is_closed_early_is_no_loss(tmp_path):
    source = open_source(str(write_video(tmp_path / "clip.avi", 20)), CLOCK)
    frames = iter(source)
    next(frames)
    source.close()
    assert list(frames) == []


def test_samples_of_another_dtype_are_taken_or_refused_and_never_guessed(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((5, 6), 257 * 100, np.uint16))
    cv2.imwrite(str(tmp_path / "b.tiff"), np.full((5, 6), 0.5, np.float32))
    sixteen, floats = read_all(tmp_path)
    assert (sixteen.pixels.dtype, int(sixteen.pixels[0, 0])) == (np.uint8, 100)
    assert floats.pixels is None
    assert "float32" in floats.error


def test_only_what_comes_untaken_runs_free(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png"])
    assert not runs_free(open_source(str(folder), CLOCK))
    assert not runs_free(open_source(f"{folder}?watch=1", CLOCK))
    assert runs_free(open_source("synthetic://?joints=4&fps=10", CLOCK))


def test_only_what_lies_ready_is_stored(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png"])
    video = write_video(tmp_path / "clip.avi", 2)
    for stream in (folder, f"{folder}/*.png", video, "synthetic://?joints=4"):
        assert is_stored(open_source(str(stream), CLOCK))
    for stream in (f"{folder}?watch=1", "synthetic://?joints=4&fps=10"):
        assert not is_stored(open_source(stream, CLOCK))


def test_ignore_existing_is_for_watched_folders(tmp_path):
    write_images(tmp_path / "in", ["a.png"])
    open_source(f"{tmp_path / 'in'}?watch=1", CLOCK, ignore_existing=True).close()
    with pytest.raises(UsageError, match="watched"):
        open_source(str(tmp_path / "in"), CLOCK, ignore_existing=True)


def test_names_come_from_the_configuration_with_variables_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "in", ["a.png"])
    config = tmp_path / "sji-edge.toml"
    config.write_text(f'[streams]\nline1 = "{tmp_path}/${{PLACE}}"\n')
    assert [frame.name for frame in read_all("line1", environ={"PLACE": "in"})] == ["a.png"]
    with pytest.raises(UsageError, match="PLACE"):
        open_source("line1", CLOCK, environ={})
    with pytest.raises(SourceError, match="line2"):
        open_source("line2", CLOCK, environ={})


@pytest.mark.parametrize("options", ["", "?watch=1&settle=0.02", "/*.png"])
def test_a_file_name_that_is_no_text_becomes_one_that_can_be_written(tmp_path, options):
    odd = os.fsencode(tmp_path) + b"/f\xff.png"
    with open(odd, "wb") as stream:  # noqa: PTH123 - a name that is bytes
        stream.write(cv2.imencode(".png", np.full((20, 20), 90, np.uint8))[1].tobytes())
    with closing(open_source(f"{tmp_path}{options}", CLOCK)) as source:
        frame = next(iter(source))
    assert frame.name == r"f\udcff.png"
    assert frame.pixels is not None


def test_an_installed_package_adds_a_source_with_its_own_scheme(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    metadata = tmp_path / "acme_camera-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-camera\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[sji_edge.sources]\nacme = acme_camera:AcmeSource\nbare = acme_camera:AcmeFrames\n"
    )
    (tmp_path / "acme_camera.py").write_text(
        "import numpy as np\n"
        "from sji_edge.testing import FakeSource\n"
        "class AcmeSource:\n"
        "    @staticmethod\n"
        "    def open(target, options, *, clock, colour, skip):\n"
        "        level, count = int(options['level']), int(target)\n"
        "        return FakeSource([np.full((4, 4), level, np.uint8)] * count, clock=clock)\n"
        "class AcmeFrames: pass\n"
    )
    frames = read_all("acme://3?level=7")
    assert [frame.pixels.max() for frame in frames] == [7, 7, 7]
    with pytest.raises(EnvironmentMismatchError, match="source 'bare' has no method open"):
        read_all("bare://3")
