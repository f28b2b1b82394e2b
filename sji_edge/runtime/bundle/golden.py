"""Golden crops with the logits that PyTorch gave them: they prove parity where PyTorch is not installed."""

import io
import lzma
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.core.errors import BundleError
from sji_edge.core.files import read_bounded
from sji_edge.core.text import one_line

UNKNOWN = -1
"""Label of a crop whose class is not known."""

MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Golden:
    """Crops uint8 ``(n, h, w, c)``, PyTorch's logits float32 ``(n, k)``, class indices int64 ``(n,)``.

    ``novelty`` is the answer of PyTorch's guard, float32 ``(n,)``; None for a model without a guard.
    """

    crops: NDArray[np.uint8]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    novelty: NDArray[np.float32] | None = None

    def check(self, card: ModelCard, source: Path) -> None:
        """Check the arrays against a card.

        Raises:
            BundleError: a dtype, shape or class differs from the card's, there is no crop, or a logit is not
                finite.
        """
        n = len(self.crops)
        wanted: dict[str, tuple[NDArray[np.generic], type[np.generic], tuple[int, ...]]] = {
            "crops": (self.crops, np.uint8, (n, *card.preprocess.shape)),
            "logits": (self.logits, np.float32, (n, len(card.classes))),
            "labels": (self.labels, np.int64, (n,)),
        }
        if self.novelty is not None:
            wanted["novelty"] = (self.novelty, np.float32, (n,))
        for name, (array, dtype, shape) in wanted.items():
            if array.dtype != dtype or array.shape != shape:
                raise BundleError(
                    f"{source}: {name} must be {np.dtype(dtype)} {shape} (got {array.dtype} {array.shape})"
                )
        if n == 0:
            raise BundleError(f"{source} holds no crops, so there is nothing to compare with")
        for name, values in (("logits", self.logits), ("novelty", self.novelty)):
            if values is not None and not np.isfinite(values).all():
                raise BundleError(f"{source}: {name} must be finite")
        if self.labels.min() < UNKNOWN or self.labels.max() >= len(card.classes):
            raise BundleError(f"{source}: labels must be from {UNKNOWN} to {len(card.classes) - 1}")


def write_golden(path: Path, golden: Golden, card: ModelCard) -> None:
    """Write golden crops, compressed; raises as ``Golden.check``."""
    golden.check(card, path)
    with path.open("wb") as stream:
        if golden.novelty is None:
            np.savez_compressed(stream, crops=golden.crops, logits=golden.logits, labels=golden.labels)
        else:
            np.savez_compressed(
                stream,
                crops=golden.crops,
                logits=golden.logits,
                labels=golden.labels,
                novelty=golden.novelty,
            )


def read_golden(path: Path, card: ModelCard) -> Golden:
    """Read a file of golden crops; raises ``BundleError`` as ``parse_golden``, or when it cannot be read."""
    return parse_golden(read_bounded(path, MAX_BYTES, error=BundleError), path, card)


def parse_golden(content: bytes, source: Path, card: ModelCard) -> Golden:
    """Parse golden crops; no pickle is ever loaded.

    Args:
        content: the bytes of a ``golden.npz``.
        source: the file, for the error.
        card: the model that the crops are for.

    Raises:
        BundleError: not readable as three arrays, too big unpacked, or as ``Golden.check``.
    """
    try:
        _check_size(content)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            names = ("crops", "logits", "labels", *(name for name in arrays.files if name == "novelty"))
            found = [arrays[name] for name in names]
    except UNREADABLE as error:
        raise BundleError(f"{source} is not a file of golden crops: {one_line(error)}") from error
    # An entry without NumPy's header comes as bytes; an array without dimensions has no length.
    if not all(isinstance(array, np.ndarray) and array.ndim for array in found):
        raise BundleError(f"{source} is not a file of golden crops: an entry in it is not an array")
    golden = Golden(*found)
    golden.check(card, source)
    return golden


UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    SyntaxError,
    MemoryError,
    OverflowError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
)
"""What NumPy and zipfile raise for damaged or hostile files."""


def _check_size(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_BYTES:
        raise ValueError(f"it unpacks to {size} bytes, limit {MAX_BYTES}")
