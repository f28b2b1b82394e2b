"""How a step says what it found."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

SKIPPED = 77
Facts = dict[str, Any]


def skip(reason: str) -> None:
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def require(holds: object, what: str) -> None:
    if not holds:
        print(f"not as it must be: {what}")
        sys.exit(1)


def same(found: NDArray[np.float32], wanted: NDArray[np.float32], what: str) -> None:
    require(np.array_equal(found.view(np.uint8), wanted.view(np.uint8)), f"{what} gives another answer")


def rounded(times: Any) -> Facts:
    return {name: round(getattr(times, name), 4) for name in ("work_ms", "copy_ms", "cut_ms")}
