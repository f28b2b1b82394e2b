"""Draws Data Matrix, QR and Code 128 symbols onto a synthetic board."""

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.extras import load
from sji_edge.core.preprocess import Image, Matrix

SymbolKind = Literal["data-matrix", "qr", "code-128"]
MatrixKind = Literal["data-matrix", "qr"]
FORMATS = {"data-matrix": "DataMatrix", "qr": "QRCode", "code-128": "Code128"}
BAR_HEIGHT_MODULES = 25
FINER = 3
"""Samples for each pixel along each side, averaged: the edge of a module lies anywhere in a pixel."""

Floats = NDArray[np.float32]


def symbol(kind: SymbolKind, text: str) -> Image:
    """Return a symbol with its quiet zone, one pixel for each module, uint8 ``(h, w)``: 0 is printed, 255 is not.

    Raises:
        MissingExtraError: zxing-cpp is not installed.
    """
    zxing: Any = load("zxingcpp", purpose="drawing codes")
    drawn = zxing.create_barcode(text, getattr(zxing.BarcodeFormat, FORMATS[kind]))
    modules = np.array(drawn.to_image(scale=1, add_quiet_zones=True), np.uint8)
    return modules[:BAR_HEIGHT_MODULES] if kind == "code-128" else modules


def paint_symbol(scene: Floats, modules: Image, to_scene: Matrix, printed: float, bare: float) -> None:
    """Paint a symbol onto a scene, in place.

    Args:
        scene: float32 ``(h, w)``, grey levels.
        modules: of ``symbol``.
        to_scene: from modules to scene pixels, float64 ``(2, 3)``.
        printed: grey level of a printed module.
        bare: grey level of the others, the quiet zone included.
    """
    height, width = modules.shape
    corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
    reach = corners @ to_scene[:, :2].T + to_scene[:, 2]
    left, top = np.maximum(np.floor(reach.min(axis=0)) - 1, 0).astype(int)
    right, bottom = np.minimum(np.ceil(reach.max(axis=0)) + 2, scene.shape[::-1]).astype(int)
    if left >= right or top >= bottom:
        return
    finer = np.array([[FINER, 0.0, (FINER - 1) / 2], [0.0, FINER, (FINER - 1) / 2]])
    moved = to_scene.copy()
    moved[:, 2] -= (left, top)
    onto = np.column_stack([finer[:, :2] @ moved[:, :2], finer[:, :2] @ moved[:, 2] + finer[:, 2]])
    size = (FINER * (right - left), FINER * (bottom - top))
    levels = np.where(modules < 128, printed, bare).astype(np.float32)
    cover = cv2.warpAffine(np.ones_like(levels), onto, size, flags=cv2.INTER_NEAREST)
    drawn = cv2.warpAffine(levels, onto, size, flags=cv2.INTER_NEAREST)
    shrunk = (right - left, bottom - top)
    share = cv2.resize(cover, shrunk, interpolation=cv2.INTER_AREA)
    painted = cv2.resize(drawn, shrunk, interpolation=cv2.INTER_AREA)
    part = scene[top:bottom, left:right]
    part *= 1.0 - share
    part += painted
