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


def code_for(capability: str) -> str:
    """Return what the shipped code holds for a compute capability: ``machine code``, ``PTX``, or nothing.

    Machine code runs on its own major version from its minor version on; PTX is translated for later versions.

    Args:
        capability: such as ``"8.6"``.
    """
    record = _record()
    major, minor = (int(part) for part in capability.split("."))
    compiled = [int(name.removeprefix("sm_")) for name in record["machine_code"]]
    if any(code // 10 == major and code % 10 <= minor for code in compiled):
        return "machine code"
    virtual = [int(name.removeprefix("compute_")) for name in record["ptx"]]
    return "PTX" if any(code <= 10 * major + minor for code in virtual) else ""


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
        EngineInputError: another dtype, shape, memory order or number, or a map that is not finite.
    """
    if frame.dtype != np.uint8 or frame.ndim not in (2, 3) or (frame.ndim == 3 and frame.shape[2] != 3):
        raise EngineInputError(
            f"the frame must be uint8, grey (h, w) or BGR (h, w, 3) (got {frame.dtype} {frame.shape})"
        )
    if frame.size == 0:
        raise EngineInputError("the frame is empty")
    if maps.dtype != np.float64 or maps.ndim != 3 or maps.shape[1:] != (2, 3):
        raise EngineInputError(f"crop maps must be float64 (n, 2, 3) (got {maps.dtype} {maps.shape})")
    if not 1 <= len(maps) <= min(max_batch, MAX_CROPS):
        raise EngineInputError(f"a batch for this engine must hold 1 to {max_batch} crops (got {len(maps)})")
    if not (frame.flags.c_contiguous and maps.flags.c_contiguous):
        raise EngineInputError("frame and crop maps must be C-contiguous; pass np.ascontiguousarray(…)")
    if not np.isfinite(maps).all():
        raise EngineInputError("crop maps must be finite")
    height, width, _channels = crop_shape
    grid = (-(-width // BLOCK[0]), -(-height // BLOCK[1]), len(maps))
    planes = 1 if frame.ndim == 2 else 3
    return Launch(grid, BLOCK, (frame.shape[0], frame.shape[1], planes), crop_shape)
