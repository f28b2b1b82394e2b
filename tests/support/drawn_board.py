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


def scene(kind, matrix, size=SIZE, marks=MARKS, missing=(), dark=30.0, light=220.0, softness=1.0):
    """Marks of one kind, float ``(h, w)``: each pixel asks the board's own plane what is there.

    ``matrix`` maps recipe to frame pixels, so the truth is exact under any turn, shear and scale.
    """
    inverse = np.linalg.inv(matrix[:, :2])
    rows, columns = np.mgrid[: size[1], : size[0]].astype(float)
    offset = np.stack([columns - matrix[0, 2], rows - matrix[1, 2]])
    x, y = np.tensordot(inverse, offset, axes=1)
    cover = np.zeros_like(x)
    for number, (mark_x, mark_y) in enumerate(marks):
        if number not in missing:
            cover = np.maximum(cover, COVERS[kind](x - mark_x, y - mark_y, softness))
    return dark + (light - dark) * cover


def shot(image, noise=0.0, blur=0.0, gain=1.0, seed=0):
    """A scene as a camera sees it, uint8."""
    import cv2

    seen = cv2.GaussianBlur(image, (0, 0), blur) if blur else image
    seen = gain * seen + np.random.default_rng(seed).normal(0.0, noise, image.shape)
    return np.clip(np.round(seen), 0, 255).astype(np.uint8)


def _inside(distance, softness):
    return np.clip(0.5 - distance / softness, 0.0, 1.0)


def _box(x, y, half_x, half_y, softness):
    return _inside(np.maximum(np.abs(x) - half_x, np.abs(y) - half_y), softness)


def _logo(x, y, softness):
    """A lopsided figure without symmetry: a ring, a bar and a dot."""
    ring = _inside(np.abs(np.hypot(x + 4.3, y - 2.1) - 9.0) - 2.5, softness)
    bar = 0.7 * _box(x - 11.4, y + 3.2, 3.0, 12.5, softness)
    return np.maximum.reduce([ring, bar, 0.5 * _inside(np.hypot(x - 2, y + 13) - 4.0, softness)])


COVERS = {
    "circle": lambda x, y, softness: _inside(np.hypot(x, y) - 12.0, softness),
    "cross": lambda x, y, softness: np.maximum(
        _box(x, y, 17.0, 3.5, softness), _box(x, y, 3.5, 17.0, softness)
    ),
    "template": _logo,
}
SHAPE_SETTINGS = {
    "circle": {"shape": "circle", "radius": 12},
    "cross": {"shape": "cross", "size": 34, "thickness": 7},
    "template": {"shape": "template", "width": 44, "height": 44},
}


def settings_of(kind, **changes):
    fiducials = [{"x": x, "y": y, "search_px": 75} | SHAPE_SETTINGS[kind] for x, y in MARKS]
    return {"frame": list(SIZE), "fiducials": fiducials} | changes
