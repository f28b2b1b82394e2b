"""Frames with a printed code, as a camera sees it."""

import cv2
import numpy as np

from sji_edge.data.synthetic.codes import paint_symbol, symbol

SIDE = 300


def code_frame(
    kind, text, *, angle_deg=0.0, module_px=5.0, dark=50.0, light=210.0, blur=0.8, noise=2.0, at=None
):
    """A frame of SIDE x SIDE pixels with a code on a label, uint8."""
    modules = symbol(kind, text)
    angle = np.radians(angle_deg)
    turn = module_px * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array(at or (SIDE / 2, SIDE / 2))
    shift = middle - turn @ ((np.array(modules.shape[::-1]) - 1) / 2)
    scene = np.full((SIDE, SIDE), 90.0, np.float32)
    paint_symbol(scene, modules, np.column_stack([turn, shift]), dark, light)
    seen = cv2.GaussianBlur(scene, (0, 0), blur) + np.random.default_rng(0).normal(0, noise, scene.shape)
    return np.clip(np.round(seen), 0, 255).astype(np.uint8)
