"""``golden.npz``: held-out crops with PyTorch's logits, the proof that travels with a model."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import DataError
from sji_edge.core.files import write_atomic

UNKNOWN_LABEL = -1


@dataclass(frozen=True)
class Golden:
    """Crops, PyTorch's logits for them, and what they are.

    Attributes:
        crops: uint8 ``(n, height, width, channels)``, n ≥ 1.
        logits: float32 ``(n, classes)``.
        labels: int64 ``(n,)``, class index, or −1 where it is unknown.
    """

    crops: NDArray[np.uint8]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.crops)

    def save(self, path: Path) -> None:
        """Write the file in one step, compressed."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, crops=self.crops, logits=self.logits, labels=self.labels)
        write_atomic(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Golden":
        """Read and check the file; nothing in it is ever unpickled.

        Raises:
            DataError: not such a file, an array of another dtype or shape, or no crop at all.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                crops, logits, labels = arrays["crops"], arrays["logits"], arrays["labels"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} holds no golden crops: {error}") from error
        kinds = (crops.dtype, logits.dtype, labels.dtype) == (np.uint8, np.float32, np.int64)
        shapes = (crops.ndim, logits.ndim, labels.ndim) == (4, 2, 1)
        if not kinds or not shapes or not len(crops) == len(logits) == len(labels) > 0:
            raise DataError(
                f"{path} holds crops {crops.dtype}{crops.shape}, logits {logits.dtype}{logits.shape}, "
                f"labels {labels.dtype}{labels.shape}; uint8 (n, h, w, c), float32 (n, classes) and "
                "int64 (n,) with n ≥ 1 were wanted"
            )
        return cls(crops, logits, labels)
