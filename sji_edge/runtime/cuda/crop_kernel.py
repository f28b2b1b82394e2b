"""Host side of the crop kernel: loads the shipped code, sizes a launch, and checks its arguments."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import BundleError, EngineInputError
from sji_edge.core.files import read_bounded, read_json

FUNCTION = "sji_crop_batch"
SIGNATURE = "PiiiPPiii"
"""Arguments as ``struct`` codes: frame, its height, width and channels, maps, crops, height, width, channels."""

BLOCK = (32, 8, 1)
MAX_CROPS = 65_535
"""Maximum third dimension of a CUDA grid."""

FRACTION_BITS = 32
MAX_SIDE = 1 << 10
MAX_MAP = float(1 << 20)
"""Longest side of a crop, and largest value of a map: what they reach together fits 31 bits before the point."""

FOLDER = Path(__file__).parent
FATBIN = FOLDER / "crop_kernel.fatbin"
RECORD = FOLDER / "crop_kernel.json"


def kernel_code() -> bytes:
    """Read the shipped machine code.

    Raises:
        BundleError: the code is missing or was altered.
    """
    try:
        code, sha256 = read_bounded(FATBIN, error=BundleError), _record()["fatbin_sha256"]
    except BundleError as error:
        raise BundleError(error.message, hint="reinstall sji-edge") from error
    if hashlib.sha256(code).hexdigest() != sha256:
        raise BundleError(f"{FATBIN} was altered", hint="reinstall sji-edge")
    return code


def code_for(capability: str, cuda: str) -> str:
    """Return what the shipped code holds for a card: ``machine code``, ``PTX``, ``newer driver``, or nothing.

    Machine code runs on its own major version from its minor version on; PTX is translated for later versions. Either
    needs a driver that is new enough; ``newer driver`` says that this one is not.

    Args:
        capability: such as ``"8.6"``.
        cuda: the newest CUDA version that the driver supports, such as ``"12.2"``.
    """
    record, code = _record(), _number(capability)
    machine = {int(name.removeprefix("sm_")): oldest for name, oldest in record["machine_code"].items()}
    ptx = {int(name.removeprefix("compute_")): oldest for name, oldest in record["ptx"].items()}
    fitting = {
        "machine code": [old for sm, old in machine.items() if sm // 10 == code // 10 and sm <= code],
        "PTX": [old for compute, old in ptx.items() if compute <= code],
    }
    for kind, oldest in fitting.items():
        if any(_number(cuda) >= _number(old) for old in oldest):
            return kind
    return "newer driver" if any(fitting.values()) else ""


def to_fixed(maps: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return crop maps as the kernel takes them: int64 in 2^-32 pixels."""
    return np.rint(maps * 2.0**FRACTION_BITS).astype(np.int64)


def _number(version: str) -> int:
    """Return ``"12.6"`` as 126; 0 for an unknown version."""
    major, _, minor = version.partition(".")
    return 10 * int(major) + int(minor or 0) if major.isdigit() else 0


def _record() -> dict[str, Any]:
    found: dict[str, Any] = read_json(RECORD, error=BundleError)
    return found


@dataclass(frozen=True, slots=True)
class Launch:
    """Grid and block of a launch, and its arguments without the three addresses."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    frame: tuple[int, int, int]
    crop: tuple[int, int, int]

    def of_batch(self, crops: int) -> "Launch":
        """Return the launch for another number of crops."""
        return replace(self, grid=(*self.grid[:2], crops))


def check_frame(frame: NDArray[np.uint8]) -> None:
    """Raise ``EngineInputError`` unless a frame is uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``, C-contiguous."""
    if frame.dtype != np.uint8 or frame.ndim not in (2, 3) or (frame.ndim == 3 and frame.shape[2] != 3):
        raise EngineInputError(
            f"the frame must be uint8, grey (h, w) or BGR (h, w, 3) (got {frame.dtype} {frame.shape})"
        )
    if frame.size == 0:
        raise EngineInputError("the frame is empty")
    if not frame.flags.c_contiguous:
        raise EngineInputError("the frame must be C-contiguous; pass np.ascontiguousarray(…)")


def launch_of(
    frame: NDArray[np.uint8], maps: NDArray[np.float64], crop_shape: tuple[int, int, int], max_batch: int
) -> Launch:
    """Check a frame and its crop maps against what the kernel takes.

    Args:
        frame: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``, C-contiguous.
        maps: float64 ``(n, 2, 3)`` of ``core.preprocess.crops_to_image``, C-contiguous.
        crop_shape: height, width and channels of a crop.
        max_batch: maximum number of crops.

    Raises:
        EngineInputError: another dtype, shape, memory order or number, a map that is not finite, or too large a crop.
    """
    check_frame(frame)
    if maps.dtype != np.float64 or maps.ndim != 3 or maps.shape[1:] != (2, 3):
        raise EngineInputError(f"crop maps must be float64 (n, 2, 3) (got {maps.dtype} {maps.shape})")
    if not 1 <= len(maps) <= min(max_batch, MAX_CROPS):
        raise EngineInputError(f"a batch for this engine must hold 1 to {max_batch} crops (got {len(maps)})")
    if not maps.flags.c_contiguous:
        raise EngineInputError("crop maps must be C-contiguous; pass np.ascontiguousarray(…)")
    # Not a number compares as false.
    if not (np.abs(maps) < MAX_MAP).all():
        raise EngineInputError(f"crop maps must be finite and below {MAX_MAP:.0f} pixels")
    height, width, _channels = crop_shape
    if max(height, width) > MAX_SIDE:
        raise EngineInputError(
            f"crops must be at most {MAX_SIDE} pixels wide and high (got {width}x{height})"
        )
    grid = (-(-width // BLOCK[0]), -(-height // BLOCK[1]), len(maps))
    planes = 1 if frame.ndim == 2 else 3
    return Launch(grid, BLOCK, (frame.shape[0], frame.shape[1], planes), crop_shape)
