"""Boards drawn analytically, so that the true place of every mark is known to the last digit."""

import numpy as np

SIZE = (640, 520)
MARKS = ((90.0, 80.0), (560.0, 84.0), (86.0, 440.0), (552.0, 436.0))
JOINTS = "refdes,x,y,width,height,package\nJ1,200,150,40,40,circle\nJ2,420,330.5,60,30,bar\n"


def rigid(angle_deg, shift, scale=1.0, size=SIZE):
    """The 2x3 map that turns about the frame's middle, then shifts."""
    angle = np.radians(angle_deg)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (np.array(size) - 1) / 2
    return np.column_stack([turn, middle - turn @ middle + np.asarray(shift, float)])


def draw(discs, size=SIZE, dark=30.0, light=220.0, noise=0.0, seed=0):
    """A frame with anti-aliased discs ``(x, y, radius)``."""
    rows, columns = np.mgrid[: size[1], : size[0]].astype(float)
    cover = np.zeros_like(rows)
    for x, y, radius in discs:
        cover = np.maximum(cover, np.clip(radius + 0.5 - np.hypot(columns - x, rows - y), 0.0, 1.0))
    image = dark + (light - dark) * cover + np.random.default_rng(seed).normal(0.0, noise, rows.shape)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def place(matrix, points):
    return np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]


def board_settings(**changes):
    fiducials = [{"x": x, "y": y, "radius": 12, "search_px": 75} for x, y in MARKS]
    return {"frame": list(SIZE), "fiducials": fiducials} | changes
