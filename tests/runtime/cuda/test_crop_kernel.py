"""The kernel's per-pixel function, compiled by g++, against core/preprocess.py; and the shipped machine code."""

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import EngineInputError
from sji_edge.core.preprocess import crops_of_frame, crops_to_image
from sji_edge.recipe.board import Recipe
from sji_edge.runtime.cuda import build as kernel_build
from sji_edge.runtime.cuda.crop_kernel import BLOCK, SIGNATURE, code_for, kernel_code, launch_of


def reference(frame: np.ndarray, maps: np.ndarray, spec: PreprocessSpec) -> np.ndarray:
    out = np.empty((len(maps), *spec.shape), np.uint8)
    crops_of_frame(frame, maps, out)
    return out


def off_by(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(one.astype(int) - other.astype(int))


def boxes(n: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    sides = rng.uniform(8, 120, (n, 2))
    centres = rng.uniform(-5, 5, (n, 2)) + rng.random((n, 2)) * [shape[1], shape[0]]
    return np.concatenate([centres, sides, rng.uniform(-3.2, 3.2, (n, 1))], axis=1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("planes", [1, 3])
def test_noise_differs_by_at_most_one_grey_level(kernel, channels: int, planes: int) -> None:
    shape = (300, 400) if planes == 1 else (300, 400, 3)
    frame = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    spec = PreprocessSpec(height=48, width=40, channels=channels)
    maps = crops_to_image(boxes(60, shape, 4), spec)  # some leave the frame: edge pixels are repeated
    differences = off_by(kernel(frame, maps, spec), reference(frame, maps, spec))
    assert differences.max() <= 1
    assert (differences > 0).mean() < 0.02


def test_a_whole_image_at_its_own_size_is_itself(kernel) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 56), dtype=np.uint8)
    spec = PreprocessSpec(height=40, width=56, channels=1)
    maps = crops_to_image(np.array([[27.5, 19.5, 56.0, 40.0, 0.0]]), spec)
    np.testing.assert_array_equal(kernel(image, maps, spec)[0, :, :, 0], image)


def test_colour_becomes_grey_exactly_as_opencv_does_it(kernel) -> None:
    values = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    spec = PreprocessSpec(height=64, width=64, channels=1)
    maps = crops_to_image(np.array([[31.5, 31.5, 64.0, 64.0, 0.0]]), spec)
    np.testing.assert_array_equal(
        kernel(values, maps, spec)[0, :, :, 0], cv2.cvtColor(values, cv2.COLOR_BGR2GRAY)
    )


@pytest.mark.skipif("SJI_DATA" not in os.environ, reason="SJI_DATA names no real data")
@pytest.mark.parametrize("number", [0, 3, 7])
def test_real_frames_differ_by_at_most_one_grey_level(kernel, number: int) -> None:
    boards = Path(os.environ["SJI_DATA"]) / "boards"
    frame = cv2.imread(str(boards / f"board{number:02d}.png"), cv2.IMREAD_GRAYSCALE)
    assert frame is not None
    spec = PreprocessSpec(height=84, width=84, channels=1)
    turn = 0.0031 * number
    alignment = np.array([[np.cos(turn), -np.sin(turn), 6.3], [np.sin(turn), np.cos(turn), -4.7]])
    maps = crops_to_image(Recipe.load(boards).rois, spec, alignment)
    assert len(maps) == 100
    differences = off_by(kernel(frame, maps, spec), reference(frame, maps, spec))
    assert differences.max() <= 1
    assert (differences > 0).mean() < 0.001


@pytest.mark.parametrize("side", [16, 1024])
def test_coordinates_do_not_overflow_at_the_largest_map(kernel, side: int) -> None:
    frame = np.arange(12, dtype=np.uint8).reshape(3, 4)
    spec = PreprocessSpec(height=side, width=side, channels=1)
    for sign, corner in ((-1, 0), (1, 11)):
        maps = np.full((1, 2, 3), sign * np.nextafter(2.0**20, 0))
        # All but the first sample of the first map lie far outside, where the frame's corner is repeated.
        assert kernel(frame, maps, spec)[0, side - 1, side - 1, 0] == corner


def test_the_shipped_code_was_made_from_this_source() -> None:
    record = json.loads(kernel_build.RECORD.read_text())
    assert record["source_sha256"] == kernel_build.source_sha256(), (
        "run python -m sji_edge.runtime.cuda.build"
    )
    assert record["fatbin_sha256"] == hashlib.sha256(kernel_code()).hexdigest()
    assert [*record["machine_code"]] == [f"sm_{code}" for code in (75, 80, 86, 87, 89, 90, 120)]
    assert len(kernel_code()) < 500_000


def entries() -> dict[str, bytes]:
    """Read off the fat binary's own table: a header, then entries of a kind (1 PTX, 2 machine code) and an SM."""
    code = kernel_code()
    magic, _, header, size = struct.unpack_from("<IHHQ", code)
    assert (magic, header + size) == (0xBA55ED50, len(code))
    found, at = {}, header
    while at < len(code):
        kind, _, header, size = struct.unpack_from("<HHIQ", code, at)
        (architecture,) = struct.unpack_from("<I", code, at + 28)
        found[f"{'compute' if kind == 1 else 'sm'}_{architecture}"] = code[at + header : at + header + size]
        at += header + size
    return found


def test_the_shipped_code_has_every_recorded_architecture() -> None:
    record = json.loads(kernel_build.RECORD.read_text())
    assert {*entries()} == {*record["machine_code"], *record["ptx"]}


def test_drivers_for_cuda_12_load_the_machine_code_of_cards_of_their_time() -> None:
    """ELF ABI 8, of CUDA 13 (and of 12.8 for 12.0), is refused by drivers before branch 570, and by JetPack 6."""
    found = {name: code for name, code in entries().items() if name.startswith("sm_")}
    assert {code[:4] for code in found.values()} == {b"\x7fELF"}
    assert {name: code[8] for name, code in found.items()} == {
        **{f"sm_{code}": 7 for code in (75, 80, 86, 87, 89, 90)},
        "sm_120": 8,
    }
    # PTX 8.5 is that of CUDA 12.6, 8.7 that of 12.8.
    assert b".version 8.5" in entries()["compute_90"]
    assert b".version 8.7" in entries()["compute_120"]


@pytest.mark.parametrize(
    ("capability", "cuda", "code"),
    [
        *((capability, "12.2", "machine code") for capability in ("7.5", "8.0", "8.6", "8.7", "8.9", "9.0")),
        *((capability, "13.0", "machine code") for capability in ("8.6", "9.0", "12.0", "12.1")),
        *((capability, "12.8", "PTX") for capability in ("10.0", "10.3", "11.0", "13.0")),
        *((capability, "12.4", "newer driver") for capability in ("12.0", "10.0")),
        ("8.6", "11.8", "newer driver"),
        *((capability, "13.0", "") for capability in ("7.0", "7.2", "6.1")),
    ],
)
def test_what_the_shipped_code_has_for_a_card(capability: str, cuda: str, code: str) -> None:
    assert code_for(capability, cuda) == code


def test_the_compilers_reproduce_the_shipped_code() -> None:
    folder = os.environ.get("SJI_CUDA_COMPILERS")
    if folder is None:
        pytest.skip("SJI_CUDA_COMPILERS names no folder of the kernel's compilers")
    again = kernel_build.link(Path(folder), list(kernel_build.compiled(Path(folder))))
    assert again == kernel_code()


def test_nvcc_compiles_the_kernel(tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc is not installed")
    target = tmp_path / "kernel.fatbin"
    words = [nvcc, "--fatbin", "-std=c++17", "-Werror", "all-warnings", "-o", str(target)]
    subprocess.run([*words, kernel_build.SOURCES[1]], cwd=kernel_build.HERE, check=True)
    assert b"sji_crop_batch" in target.read_bytes()


def test_a_launch_covers_every_pixel_of_every_crop() -> None:
    frame = np.zeros((20, 30, 3), np.uint8)
    launch = launch_of(frame, np.zeros((7, 2, 3)), (84, 33, 1), max_batch=8)
    assert launch.block == BLOCK
    assert launch.grid == (2, 11, 7)
    assert launch.frame == (20, 30, 3)
    assert len(SIGNATURE) == 3 + len(launch.frame) + len(launch.crop)


@pytest.mark.parametrize(
    ("frame", "maps", "says"),
    [
        (np.zeros((4, 4), np.uint16), np.zeros((1, 2, 3)), "uint16"),
        (np.zeros((4, 4, 4), np.uint8), np.zeros((1, 2, 3)), "BGR"),
        (np.zeros((0, 4), np.uint8), np.zeros((1, 2, 3)), "empty"),
        (np.zeros((4, 4), np.uint8), np.zeros((1, 3, 3)), "crop maps"),
        (np.zeros((4, 4), np.uint8), np.zeros((1, 2, 3), np.float32), "float32"),
        (np.zeros((4, 4), np.uint8), np.zeros((0, 2, 3)), "(got 0)"),
        (np.zeros((4, 4), np.uint8), np.zeros((9, 2, 3)), "(got 9)"),
        (np.zeros((4, 8), np.uint8)[:, ::2], np.zeros((1, 2, 3)), "contiguous"),
        (np.zeros((4, 4), np.uint8), np.full((1, 2, 3), np.nan), "finite"),
        (np.zeros((4, 4), np.uint8), np.full((1, 2, 3), -np.inf), "finite"),
        (np.zeros((4, 4), np.uint8), np.full((1, 2, 3), 2.0**20), "below 1048576 pixels"),
    ],
)
def test_what_the_kernel_cannot_take_is_refused(frame: np.ndarray, maps: np.ndarray, says: str) -> None:
    with pytest.raises(EngineInputError, match=re.escape(says)):
        launch_of(frame, maps, (8, 8, 1), max_batch=8)
