import cv2
import numpy as np
import pytest

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import DataError
from sji_edge.core.images.read import as_uint8, bits_used, read_image
from sji_edge.core.preprocess import (
    RoiPx,
    crop_of_image,
    crop_to_image,
    crops_of_frame,
    crops_to_image,
    outside_frame,
    sample_crop,
    to_channels,
)

GREY = PreprocessSpec(height=20, width=24, channels=1)
BGR = PreprocessSpec(height=20, width=24, channels=3)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def naive_bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """One pixel, bilinear between its four neighbours, edge pixels repeated; float64."""
    height, width = image.shape[:2]
    left, top = int(np.floor(x)), int(np.floor(y))
    across, down = x - left, y - top
    total = np.zeros(image.shape[2:])
    for row, row_weight in ((top, 1 - down), (top + 1, down)):
        for column, column_weight in ((left, 1 - across), (left + 1, across)):
            pixel = image[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
            total = total + row_weight * column_weight * pixel.astype(np.float64)
    return total


def naive_crop(image: np.ndarray, roi: RoiPx, spec: PreprocessSpec) -> np.ndarray:
    """Walk the box: from its centre along its two rotated axes."""
    out = np.zeros((spec.height, spec.width, *image.shape[2:]))
    along = np.array([np.cos(roi.angle_rad), np.sin(roi.angle_rad)])
    across = np.array([-np.sin(roi.angle_rad), np.cos(roi.angle_rad)])
    for row in range(spec.height):
        for column in range(spec.width):
            u = ((column + 0.5) / spec.width - 0.5) * roi.width
            v = ((row + 0.5) / spec.height - 0.5) * roi.height
            x, y = np.array([roi.x, roi.y]) + u * along + v * across
            out[row, column] = naive_bilinear(image, x, y)
    return out


@pytest.mark.parametrize("size", [(50, 60), (20, 24), (190, 120), (33, 7)])
@pytest.mark.parametrize("spec", [GREY, BGR], ids=["grey", "bgr"])
def test_the_crop_of_a_whole_image_is_opencvs_bilinear_resize(size, spec):
    image = noise(*size) if spec.channels == 1 else noise(*size, 3)
    resized = cv2.resize(image, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR)
    crop = crop_of_image(image, spec)
    assert crop.shape == spec.shape
    assert crop.dtype == np.uint8
    assert np.abs(crop.reshape(resized.shape).astype(int) - resized).max() <= 1


@pytest.mark.parametrize(
    "roi",
    [
        RoiPx(40.0, 30.0, 24.0, 20.0),
        RoiPx(41.3, 29.8, 31.7, 18.2),
        RoiPx(40.0, 30.0, 30.0, 22.0, 0.4),
        RoiPx(37.5, 31.25, 12.0, 40.0, -1.1),
        RoiPx(2.0, 3.0, 20.0, 20.0, 0.2),
    ],
)
@pytest.mark.parametrize("spec", [GREY, BGR], ids=["grey", "bgr"])
def test_a_crop_equals_a_bilinear_sampler_written_out(roi, spec):
    frame = noise(64, 80, seed=1) if spec.channels == 1 else noise(64, 80, 3, seed=1)
    out = np.empty(spec.shape, np.uint8)
    sample_crop(frame, crop_to_image(roi, spec), out)
    expected = naive_crop(frame, roi, spec).reshape(spec.shape)
    assert np.abs(out - expected).max() <= 1.0


def test_a_positive_angle_turns_x_towards_y():
    frame = np.zeros((60, 60), np.uint8)
    frame[40:50, 26:35] = 255  # below the centre
    spec = PreprocessSpec(height=16, width=16)
    out = np.empty(spec.shape, np.uint8)
    sample_crop(frame, crop_to_image(RoiPx(30, 30, 40, 40, np.pi / 2), spec), out)
    bright = np.argwhere(out[:, :, 0] > 128).mean(axis=0)
    assert bright[1] > 10  # the box's x axis points down the frame, so it lies at the crop's right
    assert 6 < bright[0] < 9


def test_an_identity_alignment_changes_nothing_and_a_shift_shifts():
    rois = np.array([[20.0, 30.0, 12.0, 14.0, 0.3], [40.0, 10.0, 8.0, 8.0, 0.0]])
    plain = crops_to_image(rois, GREY)
    assert np.array_equal(plain, crops_to_image(rois, GREY, np.eye(2, 3)))
    shifted = crops_to_image(rois, GREY, np.array([[1.0, 0.0, 3.0], [0.0, 1.0, -2.0]]))
    np.testing.assert_allclose(shifted[:, :, 2] - plain[:, :, 2], [[3.0, -2.0]] * 2, atol=1e-12)


def test_an_alignment_is_applied_after_the_boxs_own_map():
    rng = np.random.default_rng(2)
    rois = rng.uniform(5, 40, (4, 5))
    alignment = rng.normal(size=(2, 3))
    full = np.vstack([alignment, [0, 0, 1]])
    for roi, aligned in zip(rois, crops_to_image(rois, BGR, alignment), strict=True):
        own = np.vstack([crop_to_image(RoiPx(*roi), BGR), [0, 0, 1]])
        np.testing.assert_allclose(aligned, (full @ own)[:2], atol=1e-9)


def test_a_box_is_outside_only_when_a_corner_pixel_samples_beyond_the_frame():
    boxes = np.array(
        [
            [29.5, 19.5, 60.0, 40.0, 0.0],  # the whole frame
            [29.5, 19.5, 80.0, 40.0, 0.0],
            [5.0, 20.0, 10.0, 10.0, 0.0],
            [3.0, 20.0, 10.0, 10.0, 0.0],
            [29.5, 19.5, 60.0, 40.0, 0.5],
            [np.nan, 19.5, 10.0, 10.0, 0.0],
        ]
    )
    leaves = outside_frame(crops_to_image(boxes, GREY), GREY, (40, 60))
    assert leaves.tolist() == [False, True, False, True, True, True]


@pytest.mark.parametrize("spec", [GREY, BGR])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_frames_crops_equal_one_by_one(spec, channels):
    frame = noise(64, 80, 3) if channels == 3 else noise(64, 80)
    rois = np.array([[30.0, 30.0, 20.0, 20.0, 0.1], [50.0, 20.0, 12.0, 16.0, 0.0]])
    out = np.empty((2, *spec.shape), np.uint8)
    crops_of_frame(frame, crops_to_image(rois, spec), out)
    prepared = to_channels(frame, spec.channels)
    for roi, crop in zip(rois, out, strict=True):
        assert np.abs(crop.squeeze() - naive_crop(prepared, RoiPx(*roi), spec)).max() <= 1.0


def test_arguments_are_not_modified():
    image, wide = noise(40, 50, 3), noise(40, 50, 4).astype(np.uint16)
    rois, alignment = np.array([[20.0, 20.0, 10.0, 10.0, 0.1]]), np.array([[1.0, 0.1, 2.0], [0.0, 1.0, 1.0]])
    copies = [value.copy() for value in (image, wide, rois, alignment)]
    crop_of_image(image, GREY)
    as_uint8(wide, colour=False)
    maps = crops_to_image(rois, GREY, alignment)
    kept = maps.copy()
    crops_of_frame(image, maps, np.empty((1, *GREY.shape), np.uint8))
    outside_frame(maps, GREY, image.shape)
    for value, copy in zip((image, wide, rois, alignment, maps), (*copies, kept), strict=True):
        assert np.array_equal(value, copy)


def test_channels_are_converted_to_the_models():
    grey, bgr = noise(5, 6), noise(5, 6, 3)
    assert np.array_equal(to_channels(grey, 3), np.repeat(grey[:, :, None], 3, axis=2))
    weights = bgr @ np.array([0.114, 0.587, 0.299])
    assert np.abs(to_channels(bgr, 1) - weights).max() <= 1.0
    assert to_channels(grey, 1) is grey
    assert to_channels(bgr, 3) is bgr
    # Grey made colour and back is the same grey: a one-channel model sees no difference.
    assert np.array_equal(to_channels(to_channels(grey, 3), 1), grey)


def test_16_bit_samples_are_full_range_and_rounded(tmp_path):
    values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    cv2.imwrite(str(tmp_path / "deep.png"), values)
    read = read_image(tmp_path / "deep.png")
    assert read.dtype == np.uint8
    assert np.array_equal(read, np.rint(values / 257.0).astype(np.uint8))
    assert read_image(tmp_path / "deep.png").max() == 255


def test_alpha_is_dropped(tmp_path):
    image = noise(9, 8, 4)
    cv2.imwrite(str(tmp_path / "alpha.png"), image)
    assert np.array_equal(read_image(tmp_path / "alpha.png"), image[:, :, :3])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff"])
@pytest.mark.parametrize("shape", [(11, 7), (11, 7, 3)], ids=["grey", "bgr"])
def test_lossless_formats_come_back_as_they_were(tmp_path, suffix, shape):
    image = noise(*shape)
    path = tmp_path / f"joint{suffix}"
    cv2.imwrite(str(path), image)
    assert np.array_equal(read_image(path), image)
    assert read_image(path, colour=False).shape == (11, 7)


def test_a_single_channel_axis_is_taken_as_grey():
    image = noise(4, 5, 1)
    assert np.array_equal(as_uint8(image), image[:, :, 0])


@pytest.mark.parametrize("mode", ["CMYK", "L", "RGB"])
def test_jpegs_of_other_colour_spaces_decode(tmp_path, mode):
    pillow = pytest.importorskip("PIL.Image")
    pillow.new(mode, (40, 30), 0 if mode != "RGB" else (200, 10, 10)).save(tmp_path / "x.jpg")
    image = read_image(tmp_path / "x.jpg")
    assert image.shape == ((30, 40) if mode == "L" else (30, 40, 3))


def test_a_progressive_jpeg_with_bytes_after_its_end_decodes(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    pillow.fromarray(noise(40, 40, 3)).save(tmp_path / "x.jpg", progressive=True)
    with (tmp_path / "x.jpg").open("ab") as stream:
        stream.write(b"camera maker's trailer" * 20)
    assert read_image(tmp_path / "x.jpg").shape == (40, 40, 3)


def test_palette_and_one_bit_pngs_decode_to_full_range(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    half = np.zeros((8, 8), np.uint8)
    half[:, 4:] = 255
    pillow.fromarray(half).convert("1").save(tmp_path / "bit.png")
    assert np.array_equal(to_channels(read_image(tmp_path / "bit.png"), 1), half)
    pillow.fromarray(half).convert("P").save(tmp_path / "palette.png")
    assert np.array_equal(read_image(tmp_path / "palette.png", colour=False), half)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.97])
def test_a_truncated_image_is_refused_and_named(tmp_path, suffix, share):
    data = cv2.imencode(suffix, noise(60, 60, 3))[1].tobytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=f"cut{suffix}"):
        read_image(path)


def test_a_png_altered_in_the_middle_is_refused(tmp_path):
    data = bytearray(cv2.imencode(".png", noise(60, 60))[1].tobytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "bad.png").write_bytes(data)
    with pytest.raises(DataError, match=r"bad\.png"):
        read_image(tmp_path / "bad.png")


def test_a_file_that_is_not_an_image_is_refused_and_named(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("not an image\n")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match=r"empty\.png is empty \(0 bytes\)"):
        read_image(tmp_path / "empty.png")
    with pytest.raises(DataError, match=r"text\.png is not an image"):
        read_image(tmp_path / "text.png")
    with pytest.raises(DataError, match=r"cannot read .*missing\.png: No such file"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(DataError, match=r"cannot read .*folder\.png"):
        read_image(tmp_path / "folder.png")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 4), np.float32), "float32 samples"),
        (np.zeros((4, 4), np.int16), "int16 samples"),
        (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
    ],
)
def test_a_dtype_or_shape_is_checked_never_guessed(image, said):
    with pytest.raises(DataError, match=said):
        as_uint8(image)


def test_twelve_bits_in_sixteen_are_scaled_to_eight_when_declared():
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    wanted = np.round(values.astype(np.float64) * 255 / 4095)
    assert np.array_equal(as_uint8(values, bit_depth=12), wanted)
    assert as_uint8(values).max() == 16
    assert (bits_used(values), bits_used(values >> 2), bits_used(np.uint16([[65535]]))) == (12, 10, 16)


def test_a_sample_above_the_declared_depth_is_refused():
    with pytest.raises(DataError, match="holds a sample of 4096; the maximum for 12 bits is 4095"):
        as_uint8(np.uint16([[0, 4096]]), "x", bit_depth=12)


@pytest.mark.parametrize(("orientation", "turn"), [(3, 2), (6, 3), (8, 1)])
def test_an_exif_orientation_is_applied(tmp_path, orientation, turn):
    upright = np.kron(noise(5, 6, seed=3), np.ones((16, 16), np.uint8))
    stored = np.rot90(upright, -turn)
    jpeg = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + b"\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    (tmp_path / "a.jpg").write_bytes(
        jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    )
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 2


@pytest.mark.parametrize("suffix", [".webp", ".pgm", ".jpe", ".dib"])
def test_the_other_formats_that_opencv_knows_are_read(tmp_path, suffix):
    image = np.full((64, 64), 90, np.uint8)
    image[16:48, 16:48] = 200
    cv2.imwrite(str(tmp_path / f"a{suffix}"), image)
    assert np.abs(to_channels(read_image(tmp_path / f"a{suffix}"), 1).astype(int) - image).mean() < 2
