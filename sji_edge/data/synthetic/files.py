"""Write the images and tables of the synthetic generators."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2

from sji_edge.core.preprocess import Image


def write_png(path: Path, image: Image) -> None:
    """Write a PNG, at the fastest compression: sensor noise does not compress."""
    _, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    path.write_bytes(data.tobytes())


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV with a header; floats are written in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
