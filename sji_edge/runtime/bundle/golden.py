"""Golden crops with PyTorch's own logits: parity against PyTorch without PyTorch."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.core.errors import BundleError
from sji_edge.core.text import one_line

UNKNOWN = -1
"""The label of a crop whose class is not known."""

MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Golden:
    """Crops uint8 ``(n, h, w, c)``, PyTorch's logits float32 ``(n, k)``, class indices int64 ``(n,)``."""

    crops: NDArray[np.uint8]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]

    def check(self, card: ModelCard, source: Path) -> None:
        """Hold the arrays to a card.

        Raises:
            BundleError: another dtype, shape or class than the card's, no crop at all, or a logit that is
                not finite.
        """
        n = len(self.crops)
        wanted: dict[str, tuple[NDArray[np.generic], type[np.generic], tuple[int, ...]]] = {
            "crops": (self.crops, np.uint8, (n, *card.preprocess.shape)),
            "logits": (self.logits, np.float32, (n, len(card.classes))),
            "labels": (self.labels, np.int64, (n,)),
        }
        for name, (array, dtype, shape) in wanted.items():
            if array.dtype != dtype or array.shape != shape:
                raise BundleError(
                    f"{source}: {name} is {array.dtype} {array.shape}; {np.dtype(dtype)} {shape} was wanted"
                )
        if n == 0:
            raise BundleError(f"{source} holds no crop: nothing to compare with")
        if not np.isfinite(self.logits).all():
            raise BundleError(f"{source}: logits are not finite")
        if self.labels.min() < UNKNOWN or self.labels.max() >= len(card.classes):
            raise BundleError(f"{source}: labels leave the range {UNKNOWN} to {len(card.classes) - 1}")


def write_golden(path: Path, golden: Golden, card: ModelCard) -> None:
    """Write golden crops, compressed; raises as ``Golden.check``."""
    golden.check(card, path)
    with path.open("wb") as stream:
        np.savez_compressed(stream, crops=golden.crops, logits=golden.logits, labels=golden.labels)


def read_golden(path: Path, card: ModelCard) -> Golden:
    """Read golden crops; no pickle is ever loaded.

    Raises:
        BundleError: not readable as three arrays, too big unpacked, or as ``Golden.check``.
    """
    try:
        _check_size(path)
        with np.load(path, allow_pickle=False) as arrays:
            golden = Golden(arrays["crops"], arrays["logits"], arrays["labels"])
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"{path} holds no golden crops: {one_line(error)}") from error
    golden.check(card, path)
    return golden


def _check_size(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_BYTES:
        raise ValueError(f"{size} bytes unpacked; at most {MAX_BYTES} are taken")
