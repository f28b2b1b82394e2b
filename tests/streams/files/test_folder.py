import cv2
import numpy as np
import pytest
from support.stream_material import CLOCK, read_all, write_images

from sji_edge.core.errors import SourceError
from sji_edge.streams.spec import left_out_of, open_source


def said(source) -> list[str]:
    return [str(one) for one in left_out_of(source)]


def test_numbers_in_names_are_ordered_as_people_count(tmp_path):
    folder = write_images(tmp_path / "in", ["board10.png", "board2.png", "board1.png"])
    assert [frame.name for frame in read_all(folder)] == ["board1.png", "board2.png", "board10.png"]
    assert [frame.name for frame in read_all(folder / "b*.png")] == [
        "board1.png",
        "board2.png",
        "board10.png",
    ]


def test_what_is_not_read_is_counted_and_named(tmp_path):
    folder = write_images(tmp_path / "in", ["a.png", "b.webp", "._a.png"])
    write_images(folder / "more", ["c.png"])
    (folder / "d.jp2").write_bytes(b"x")
    (folder / "e.heic").write_bytes(b"x")
    (folder / "board.json").write_text("{}")
    source = open_source(str(folder), CLOCK)
    assert said(source) == ["1 .heic file (e.heic)", "1 .jp2 file (d.jp2)", "1 hidden image (._a.png)",
                            "1 sub-folder (more)"]  # fmt: skip
    assert [frame.name for frame in source] == ["a.png", "b.webp"]
    assert said(open_source(f"{folder}?watch=1", CLOCK)) == said(source)
    assert said(open_source(str(folder / "a.png"), CLOCK)) == []


def test_a_folder_with_only_other_files_lists_its_content(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"no image in .*; left out: 1 \.heic file \(a\.heic\)"):
        open_source(str(tmp_path), CLOCK)


@pytest.mark.parametrize("name", ["lot [1]", "what*", "a?b", "[0-9]"])
def test_a_folder_named_with_pattern_characters_is_found_with_and_without_a_pattern(tmp_path, name):
    folder = write_images(tmp_path / name, ["a.png", "b.png"])
    write_images(tmp_path / "lot 1", ["other.png"])
    for stream in (folder, folder / "*.png", tmp_path / name / "**" / "*.png"):
        assert [frame.name for frame in read_all(stream)] == ["a.png", "b.png"]


def test_twelve_bits_in_sixteen_need_the_bit_depth(tmp_path):
    samples = np.arange(0, 4096, 64, dtype=np.uint16).reshape(8, 8)
    cv2.imwrite(str(tmp_path / "a.tif"), samples)
    undeclared = read_all(tmp_path)[0]
    assert undeclared.pixels is None
    assert "uses 12 bits of its 16-bit samples" in undeclared.error
    wanted = np.round(samples.astype(float) * 255 / 4095)
    assert np.array_equal(read_all(f"{tmp_path}?bit-depth=12")[0].pixels, wanted)
    assert np.array_equal(read_all(tmp_path, bit_depth=12)[0].pixels, wanted)


def test_a_tiff_of_several_pages_is_a_frame_with_an_error_that_counts_them(tmp_path):
    cv2.imwritemulti(str(tmp_path / "stack.tif"), [np.full((9, 9), level, np.uint8) for level in (1, 2, 3)])
    frame = read_all(tmp_path)[0]
    assert frame.pixels is None
    assert "3 pages" in frame.error


def test_a_damaged_jpeg_is_a_frame_without_pixels_and_the_stream_goes_on(tmp_path, capfd):
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8), (5, 5), 0)
    data = bytearray(cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_RST_INTERVAL, 8])[1].tobytes())
    (tmp_path / "a.jpg").write_bytes(data)
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    (tmp_path / "b.jpg").write_bytes(data)
    good, bad = read_all(tmp_path)
    assert good.pixels is not None
    assert bad.pixels is None
    assert "b.jpg cannot be decoded" in bad.error
    assert capfd.readouterr().err == ""
