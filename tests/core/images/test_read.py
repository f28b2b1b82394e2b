import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from sji_edge.core.errors import DataError
from sji_edge.core.images import png
from sji_edge.core.images.header import DamagedImageError
from sji_edge.core.images.read import MAX_FILE_BYTES, decode_image, read_header, read_image, upright

FORMATS = [".png", ".jpg", ".bmp", ".tif", ".webp", ".ppm"]


def picture(height: int = 90, width: int = 120, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 0)


def encoded(suffix: str, image: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(suffix, image, options)[1].tobytes()


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def chunks(data: bytes):
    return list(png._chunks(data))


def tiff(image: np.ndarray, compression: int, *, rows: int = 16, **changes: int) -> bytearray:
    return bytearray(
        encoded(".tif", image, cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_ROWSPERSTRIP, rows)
    )


def entry(data: bytes, tag: int) -> int:
    """Where a tag's value lies in the first directory of a little-endian TIFF."""
    start = struct.unpack_from("<I", data, 4)[0]
    for number in range(struct.unpack_from("<H", data, start)[0]):
        if struct.unpack_from("<H", data, start + 2 + 12 * number)[0] == tag:
            return start + 2 + 12 * number + 8
    raise AssertionError(f"no tag {tag}")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_good_file_is_read_as_opencv_reads_it(suffix, channels):
    suffix = ".pgm" if suffix == ".ppm" and channels == 1 else suffix
    data = encoded(suffix, picture(channels=channels))
    wanted = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(decode_image(data, "x"), wanted)


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("sampling", [0x111111, 0x211111, 0x221111, 0x411111])
def test_jpeg_pixels_equal_those_of_opencv(sampling, progressive):
    options = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    data = encoded(".jpg", picture(91, 123), *options)
    assert np.array_equal(
        decode_image(data, "x"), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    )


@pytest.mark.parametrize("restart", [0, 8])
def test_a_jpeg_with_a_lost_block_is_refused(restart):
    data = bytearray(encoded(".jpg", picture(400, 400, 1), cv2.IMWRITE_JPEG_RST_INTERVAL, restart))
    assert decode_image(bytes(data), "x").shape == (400, 400)
    for start in range(1000, len(data) - 1000, 997):
        damaged = bytearray(data)
        damaged[start : start + 300] = bytes(300)
        with pytest.raises(DataError, match=r"x cannot be decoded: (the JPEG decoder|a block of)"):
            decode_image(bytes(damaged), "x")


def test_every_warning_of_the_jpeg_decoder_is_an_error():
    data = encoded(".jpg", picture(400, 400, 1), cv2.IMWRITE_JPEG_RST_INTERVAL, 8)
    for cut in (
        data[: len(data) // 2] + b"\xff\xd9",
        data[:-40] + data[-2:],
        data[:-2] + b"\x12\x34\x56" * 9 + b"\xff\xd9",
    ):
        assert cv2.imdecode(np.frombuffer(cut, np.uint8), cv2.IMREAD_UNCHANGED) is not None
        with pytest.raises(DataError, match="JPEG decoder says"):
            decode_image(cut, "x")


def test_a_flat_jpeg_with_optimized_tables_is_not_taken_for_a_lost_block():
    data = encoded(".jpg", np.full((2000, 2000), 90, np.uint8), cv2.IMWRITE_JPEG_OPTIMIZE, 1)
    assert np.ptp(decode_image(data, "x")) == 0
    plain = encoded(".jpg", np.zeros((2000, 2000), np.uint8))
    assert decode_image(plain, "x").max() == 0


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_cut_anywhere_is_refused(suffix, capfd):
    data = encoded(suffix, picture())
    for end in (12, 30, len(data) // 3, len(data) // 2, len(data) - 20, len(data) - 1):
        with pytest.raises(DataError, match=r"board\.img (is truncated|cannot be decoded)"):
            decode_image(data[:end], "board.img")
    assert capfd.readouterr().err == ""


def test_a_png_with_a_wrong_checksum_is_refused(capfd):
    data = encoded(".png", picture())
    for place in (20, len(data) // 2, len(data) - 14):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises(DataError, match="checksum of its chunk"):
            decode_image(bytes(damaged), "x")
    assert capfd.readouterr().err == ""


def repacked(data: bytes, stream: bytes) -> bytes:
    """A PNG with another compressed stream, and with the right checksums."""
    return data[:33] + png_chunk(b"IDAT", stream) + png_chunk(b"IEND", b"")


def stream_of(data: bytes) -> bytes:
    return b"".join(data[start:end] for name, start, end in chunks(data) if name == b"IDAT")


def test_a_png_with_a_damaged_stream_and_right_checksums_is_refused_without_a_line_on_stderr(capfd):
    data = encoded(".png", picture())
    stream = stream_of(data)
    assert np.array_equal(decode_image(repacked(data, stream), "x"), decode_image(data, "x"))
    damaged = [
        stream[:place] + bytes([stream[place] ^ 0x55]) + stream[place + 1 :]
        for place in [*range(2, len(stream) - 4, len(stream) // 40), *range(len(stream) - 4, len(stream))]
    ]
    for one in [*damaged, stream[: len(stream) // 2], stream[:-4], stream + b"more"]:
        with pytest.raises(DataError, match="x cannot be decoded: its compressed data is damaged"):
            decode_image(repacked(data, one), "x")
    assert capfd.readouterr() == ("", "")


def test_a_png_that_libpng_only_comments_on_is_read_in_silence(capfd):
    data = encoded(".png", picture())
    profile = png_chunk(b"iCCP", b"odd\0\0" + zlib.compress(b"no profile"))
    assert np.array_equal(decode_image(data[:33] + profile + data[33:], "x"), decode_image(data, "x"))
    assert capfd.readouterr() == ("", "")


def test_good_png_files_are_read_beside_damaged_ones_and_our_own_lines_are_not_lost(capfd):
    good = encoded(".png", picture())
    stream = bytearray(stream_of(good))
    stream[-1] ^= 1

    def reads(number: int) -> bool:
        try:
            decode_image(repacked(good, bytes(stream)) if number % 2 else good, "x")
        except DataError:
            return False
        finally:
            os.write(2, b"own line\n")
        return True

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(reads, range(200))) == [True, False] * 100
    assert capfd.readouterr() == ("", "own line\n" * 200)


def test_a_stream_that_never_ends_is_not_decompressed_to_its_end():
    header = read_header(encoded(".png", picture()), "x")
    with pytest.raises(DamagedImageError, match="damaged"):
        png.check_stream(repacked(encoded(".png", picture()), zlib.compress(bytes(200 << 20))), header)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("compression", [5, 8])
def test_the_predictor_of_a_tiff_is_undone(dtype, channels, compression):
    shape = (37, 53) if channels == 1 else (37, 53, 3)
    image = np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, shape, dtype)
    options = (cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_PREDICTOR, 2)
    data = encoded(".tif", image, *options)
    assert struct.unpack_from("<H", data, entry(data, 317))[0] == 2
    wanted = (
        image if dtype == np.uint8 else ((image.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    )
    assert np.array_equal(decode_image(data, "x"), wanted)


def test_an_animated_png_is_refused():
    data = encoded(".png", picture())
    animated = data[:33] + png_chunk(b"acTL", bytes(8)) + data[33:]
    with pytest.raises(DataError, match="animation"):
        decode_image(animated, "x")


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [120, 121])
@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
def test_a_tiff_is_read_exactly(compression, width, channels, depth):
    image = picture(90, width, channels).astype(depth) * (257 if depth is np.uint16 else 1)
    found = decode_image(bytes(tiff(image, compression)), "x")
    assert np.array_equal(found, picture(90, width, channels))


@pytest.mark.parametrize("width", [120, 121])
@pytest.mark.parametrize("compression", [5, 8, 32773])
def test_a_damaged_strip_of_a_tiff_is_refused(compression, width, capfd):
    data = tiff(picture(90, width, 1), compression)
    refused = 0
    for start in range(200, 4000, 173):
        damaged = bytearray(data)
        damaged[start : start + 60] = bytes(60)
        try:
            decode_image(bytes(damaged), "x")
        except DataError:
            refused += 1
    # PackBits has literal runs: bytes inside one carry no redundancy.
    assert refused == 22 if compression != 32773 else refused > 5
    assert capfd.readouterr().err == ""


def test_a_lost_strip_of_a_tiff_is_refused():
    data = tiff(picture(90, 120, 1), 1)
    offsets, sizes = (struct.unpack_from("<I", data, entry(data, tag))[0] for tag in (273, 279))
    for place, value, why in (
        (offsets + 4, 0, "missing"),
        (offsets + 4, len(data), "truncated"),
        (offsets + 4, struct.unpack_from("<I", data, offsets)[0], "same place"),
    ):
        damaged = bytearray(data)
        struct.pack_into("<I", damaged, place, value)
        with pytest.raises(DataError, match=why):
            decode_image(bytes(damaged), "x")
    damaged = bytearray(data)
    struct.pack_into("<H", damaged, sizes + 2, 3)
    with pytest.raises(DataError, match="a strip holds 3 of"):
        decode_image(bytes(damaged), "x")


def test_a_tiff_of_several_pages_is_refused_with_their_number(tmp_path):
    cv2.imwritemulti(str(tmp_path / "stack.tif"), [picture(), picture(), picture()])
    with pytest.raises(DataError, match="holds 3 pages"):
        read_image(tmp_path / "stack.tif")


def test_an_image_is_refused_by_its_header_before_memory_is_taken(tmp_path):
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(bytes(90_001)) for _ in range(300)) + rows.flush()
    data = (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    )
    with pytest.raises(DataError, match="x has 30000x30000 pixels; the limit is 200 million"):
        decode_image(data, "x")
    with pytest.raises(DataError, match=r"the limit is 0\.005 million"):
        decode_image(encoded(".jpg", picture()), "x", max_pixels=5000)


def test_a_sparse_file_is_refused_without_being_read(tmp_path):
    with (tmp_path / "big.png").open("wb") as stream:
        stream.truncate(12 << 30)
    with pytest.raises(DataError, match=f"big.png has {12 << 30} bytes; the limit is {MAX_FILE_BYTES}"):
        read_image(tmp_path / "big.png")


def test_a_pipe_named_like_an_image_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="not a regular file"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("data", "name"),
    [(b"\0\0\0\x0cjP  " + bytes(99), "JPEG 2000"), (b"GIF89a" + bytes(99), "GIF"), (b"hello", "")],
)
def test_another_format_is_refused_by_name(data, name):
    with pytest.raises(DataError, match=f"not an image that can be decoded.*{name}"):
        decode_image(data, "x")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_exif_orientation_undoes_how_the_pixels_are_stored(orientation):
    right = np.arange(12).reshape(3, 4)
    stored = {
        1: right,
        2: right[:, ::-1],
        3: right[::-1, ::-1],
        4: right[::-1],
        5: right.T,
        6: np.rot90(right),
        7: right[::-1, ::-1].T,
        8: np.rot90(right, -1),
    }[orientation]
    assert np.array_equal(upright(stored, orientation), right)


def test_the_orientation_of_a_tiff_and_a_png_is_applied():
    exif = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 274, 3, 1, 6) + bytes(4)
    data = encoded(".png", np.rot90(picture()).copy())
    turned = data[:33] + png_chunk(b"eXIf", exif) + data[33:]
    assert np.array_equal(decode_image(turned, "x"), picture())
    stored = tiff(np.rot90(picture(), 2).copy(), 1)
    place = entry(stored, 284)  # planar configuration, 1, gives its place to the orientation
    struct.pack_into("<H", stored, place - 8, 274)
    struct.pack_into("<I", stored, place, 3)
    assert np.array_equal(decode_image(bytes(stored), "x"), picture())


def test_twelve_bits_in_sixteen_are_refused_until_the_depth_is_set():
    dark = (picture(channels=1).astype(np.uint16)) * 16
    data = encoded(".tif", dark)
    with pytest.raises(DataError, match="uses 12 bits of its 16-bit samples") as caught:
        decode_image(data, "x", bit_depth=None)
    assert "bit depth" in caught.value.hint
    found = decode_image(data, "x", bit_depth=12)
    assert np.array_equal(found, np.round(dark / 4095 * 255).astype(np.uint8))


def test_a_pgm_is_scaled_from_the_maximum_it_declares():
    samples = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
    data = b"P5\n# a camera wrote this\n16 16\n4095\n" + samples.astype(">u2").tobytes()
    assert np.array_equal(decode_image(data, "x"), np.round(samples.astype(float) * 255 / 4095))


def test_the_header_tells_the_size_of_every_format():
    for suffix in FORMATS:
        header = read_header(encoded(suffix, picture(33, 47)), "x")
        assert (header.width, header.height) == (47, 33), suffix


def test_an_image_that_needs_more_memory_than_there_is_is_an_error_of_that_image(monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("sji_edge.core.images.read.upright", fail)
    with pytest.raises(DataError, match="x needs more memory than this machine has free"):
        decode_image(encoded(".png", picture()), "x")


def test_an_error_names_a_file_on_one_line(tmp_path):
    path = tmp_path / "a\nPASS board99\x1b[2J.png"
    for content in (b"", b"no image"):
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_image(path)
        assert r"a\x0aPASS board99\x1b[2J.png" in caught.value.message
        assert caught.value.message.isprintable()


def test_jpeg_that_repeats_its_scans_thousands_of_times_is_refused_at_once():
    data = encoded(".jpg", picture(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    first, end = data.index(b"\xff\xda"), data.rindex(b"\xff\xd9")
    assert decode_image(data, "x").shape == (90, 120, 3)
    bomb = data[:end] + data[first:end] * 3000 + data[end:]
    with pytest.raises(DataError, match=r"it has \d+ scans; at most 100 are decoded"):
        decode_image(bomb, "x")


def test_file_far_larger_than_its_picture_is_refused_before_it_is_decoded():
    data = encoded(".png", picture()).ljust(17_000_000, b"\0")
    with pytest.raises(DataError, match="17000000 bytes are too many for 120x90 pixels"):
        decode_image(data, "x")
