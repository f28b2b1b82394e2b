"""Find fiducials of any appearance to a fraction of a pixel: crosses, and patches of the golden image.

Normalized correlation over a coarse window proposes places and, at full resolution, refines each. From there
Gauss-Newton fits place, rotation, scale, gain and offset at once, with Tukey's weights, so that an object covering a
part of the mark does not shift the result. The gradients are the pattern's own, computed once.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image, to_channels
from sji_edge.recipe.fiducials.marks import Mark
from sji_edge.recipe.fiducials.proposals import propose
from sji_edge.recipe.fiducials.shapes import Cross, Template

COARSE_PX = 10
"""The shorter side of a pattern in the coarse search."""
MIN_COARSE_CORRELATION = 0.4
MIN_CORRELATION = 0.85
MIN_SHARE = 0.7
"""Share of a mark's structure (its squared gradients) that must be visible and match; the rest may be covered."""
MIN_CONTRAST = 20.0
"""Minimum contrast in grey levels: four standard deviations of the pattern."""
BLUR_PX = 1.0
MAX_POINTS = 700
RIM_PX = 2
CROSS_MARGIN = 1.3
MIN_CORNER = 0.02
"""Minimum share of a pattern's gradient energy across its main edge: a single straight edge slides along itself."""
MAX_TURN_RAD, MAX_SCALE_CHANGE = 0.2, 0.1
TUKEY = 4.685
MAX_STEP = np.array([1.0, 1.0, 0.05, 0.02])
NOISE_SHARE = 0.1
SETTLED_PX = 5e-3
REWEIGHTED, ITERATIONS = 5, 10
"""The first iterations lower the weights of outliers; then the weights stay fixed and the fit converges."""
GAIN = 4

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """The appearance of a fiducial: float32 ``(h, w)`` in grey levels, both sides odd, centred."""

    pixels: Floats

    @property
    def weakness(self) -> str:
        """Why it cannot be located; empty if it can."""
        if _levels(self.pixels) < MIN_CONTRAST:
            return f"its contrast is {_levels(self.pixels):.0f} grey levels; it needs at least {MIN_CONTRAST:.0f}"
        blurred = cv2.GaussianBlur(self.pixels, (0, 0), BLUR_PX)
        rise_y, rise_x = np.gradient(blurred)
        tensor = [[(rise_x**2).sum(), (rise_x * rise_y).sum()], [0.0, (rise_y**2).sum()]]
        weak, strong = np.linalg.eigvalsh(np.array(tensor, dtype=np.float64), UPLO="U")
        return "" if weak >= MIN_CORNER * strong else "it shows one straight edge, which slides along itself"


def cross_pattern(cross: Cross) -> Pattern:
    """Draw a bright cross on a dark background, its edges smoothed over one pixel."""
    half = int(np.ceil(CROSS_MARGIN * cross.size / 2))
    away = np.abs(np.arange(-half, half + 1, dtype=np.float64))
    long = np.clip(cross.size / 2 + 0.5 - away, 0.0, 1.0)
    thin = np.clip(cross.thickness / 2 + 0.5 - away, 0.0, 1.0)
    cover = np.maximum(np.outer(thin, long), np.outer(long, thin))
    return Pattern((200.0 * cover).astype(np.float32))


def template_pattern(golden: Image, template: Template) -> Pattern:
    """Cut a patch out of the golden image; border pixels are repeated outwards."""
    half_x, half_y = template.width // 2, template.height // 2
    size = (2 * half_x + 1, 2 * half_y + 1)
    shift = np.array([[1.0, 0.0, template.x - half_x], [0.0, 1.0, template.y - half_y]])
    grey = to_channels(golden, 1).astype(np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(grey, shift, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return Pattern(patch.astype(np.float32, copy=False))


class PatternFinder:
    """Finds one pattern in windows of frames.

    Args:
        pattern: the pattern to find; its ``weakness`` must be empty.
    """

    def __init__(self, pattern: Pattern) -> None:
        height, width = pattern.pixels.shape
        self._pixels = pattern.pixels
        self._blurred = cv2.GaussianBlur(pattern.pixels, (0, 0), BLUR_PX)
        self._shrink = max(1, min(height, width) // COARSE_PX)
        size = (max(3, round(width / self._shrink)), max(3, round(height / self._shrink)))
        small = cv2.resize(pattern.pixels, size, interpolation=cv2.INTER_AREA)
        self._small: Floats = small.astype(np.float32, copy=False)
        self._points, self._design = _design(pattern.pixels)
        # On a line, turn and scale are small; where the pattern hardly shows them, this prior keeps them near zero.
        evidence = float((self._design[:, :2] ** 2).sum()) / 2
        self._prior = np.diag([0.0, 0.0, 0.1 * evidence, 0.1 * evidence, 0.0, 0.0, 0.0])
        structure = (self._design[:, :2] ** 2).sum(axis=1)
        self._structure = structure / structure.sum()
        self._floor = NOISE_SHARE * float(self._design[:, GAIN].std())

    def find(self, window: Image) -> list[Mark]:
        """Find candidates for the pattern in a window.

        Args:
            window: uint8 grey ``(h, w)``.

        Returns:
            A few marks in window pixels, the best first; none if the window does not show the pattern.
        """
        found: list[Mark] = []
        places = propose(window, self._small, self._shrink, MIN_COARSE_CORRELATION)
        if not places:
            return found
        apart = min(self._pixels.shape) / 4
        for x, y in places:
            mark = self._fit(*self._near(window, x, y))
            if mark is None or np.hypot(mark.x - x, mark.y - y) > 2 * self._shrink + 2:
                continue
            if not any(np.hypot(mark.x - one.x, mark.y - one.y) < apart for one in found):
                found.append(mark)
        return sorted(found, key=lambda mark: mark.misfit)

    def _near(self, window: Image, x: float, y: float) -> tuple["_Patch", float, float]:
        """Cut the surroundings of a place, and return the best whole-pixel place in them, in the patch's pixels."""
        height, width = self._pixels.shape
        reach = self._shrink + 2
        side = (width + 2 * reach, height + 2 * reach)
        left, top = round(x) - side[0] // 2, round(y) - side[1] // 2
        corner = np.array([[1.0, 0.0, left], [0.0, 1.0, top]])
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        around = cv2.warpAffine(window, corner, side, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        grey = cv2.GaussianBlur(around.astype(np.float32), (0, 0), BLUR_PX)
        low = np.maximum([-left, -top], 0.0)
        high = np.minimum([window.shape[1] - 1.0 - left, window.shape[0] - 1.0 - top], np.subtract(side, 1.0))
        response = cv2.matchTemplate(grey, self._blurred, cv2.TM_CCOEFF_NORMED)
        _, _, _, (column, row) = cv2.minMaxLoc(np.nan_to_num(response, nan=-1.0))
        patch = _Patch(grey.astype(np.float32, copy=False), left, top, low, high)
        return patch, float(column + width // 2), float(row + height // 2)

    def _fit(self, patch: "_Patch", x: float, y: float) -> Mark | None:
        """Fit the pattern, starting at a place; None if the fit does not converge on the pattern."""
        state = np.array([x, y, 0.0, 0.0])
        grey, seen = patch.sample(self._points, state)
        weights = seen.astype(np.float64)
        for turn in range(ITERATIONS):
            weighted = self._design.T * weights
            solved = np.linalg.solve(weighted @ self._design + self._prior, weighted @ grey)
            if not solved[GAIN] > 0:
                return None
            step = np.clip(solved[:4] / solved[GAIN], -MAX_STEP, MAX_STEP)
            cos, sin = _turn(state)
            state -= [cos * step[0] - sin * step[1], sin * step[0] + cos * step[1], step[2], step[3]]
            if turn < REWEIGHTED:
                error = np.abs(grey - self._design @ solved)
                weights = _tukey(error, seen, self._floor * float(solved[GAIN]))
            grey, seen = patch.sample(self._points, state)
            weights = weights * seen
            if turn >= REWEIGHTED and np.hypot(step[0], step[1]) < SETTLED_PX:
                break
        if abs(state[2]) > MAX_TURN_RAD or abs(state[3]) > MAX_SCALE_CHANGE:
            return None
        correlation, contrast = _likeness(self._design[:, GAIN], grey, weights)
        share = float(self._structure @ (weights > 0.1))
        if not (correlation >= MIN_CORRELATION and contrast >= MIN_CONTRAST and share >= MIN_SHARE):
            return None
        place_x, place_y = float(state[0] + patch.left), float(state[1] + patch.top)
        return Mark(place_x, place_y, 1.0 - correlation, contrast)


@dataclass(frozen=True, slots=True, eq=False)
class _Patch:
    """A blurred part of a window, its corner there, and the part of it inside the window, all in pixels."""

    grey: Floats
    left: int
    top: int
    low: Doubles
    high: Doubles

    def sample(self, points: Doubles, state: Doubles) -> tuple[Doubles, NDArray[np.bool_]]:
        """Return the grey levels where a state puts the points, and whether these lie inside the window."""
        cos, sin = _turn(state)
        places = points @ np.array([[cos, sin], [-sin, cos]]) + state[:2]
        narrow = places.astype(np.float32)
        grey = cv2.remap(
            self.grey,
            narrow[None, :, 0],
            narrow[None, :, 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        seen: NDArray[np.bool_] = ((places >= self.low) & (places <= self.high)).all(axis=1)
        return grey[0].astype(np.float64), seen


def _turn(state: Doubles) -> tuple[float, float]:
    scale = np.exp(state[3])
    return float(scale * np.cos(state[2])), float(scale * np.sin(state[2]))


def _likeness(shape: Doubles, grey: Doubles, weights: Doubles) -> tuple[float, float]:
    """Return the weighted correlation of grey levels with a shape, and their contrast."""
    total = max(float(weights.sum()), 1e-12)
    shape_off = shape - (weights @ shape) / total
    grey_off = grey - (weights @ grey) / total
    power = float(weights @ grey_off**2)
    length = np.sqrt(float(weights @ shape_off**2) * power)
    correlation = float(weights @ (shape_off * grey_off)) / length if length > 0 else 0.0
    return correlation, 4.0 * float(np.sqrt(power / total))


def _design(pixels: Floats) -> tuple[Doubles, Doubles]:
    """Return points ``(n, 2)`` about the centre, and the derivative by each unknown there ``(n, 7)``.

    The unknowns: x, y, turn, log scale, gain, blur (to first order, the Laplacian), offset.
    """
    blurred = cv2.GaussianBlur(pixels, (0, 0), BLUR_PX).astype(np.float64)
    rises = np.gradient(blurred)
    height, width = pixels.shape
    stride = max(1, int(np.ceil(np.sqrt(height * width / MAX_POINTS))))
    # At the rim of a patch, blur and gradients see only half of their surroundings.
    rows, columns = np.mgrid[RIM_PX : height - RIM_PX : stride, RIM_PX : width - RIM_PX : stride].reshape(
        2, -1
    )
    x, y = columns - width // 2, rows - height // 2
    rise_x, rise_y = np.asarray(rises[1])[rows, columns], np.asarray(rises[0])[rows, columns]
    turn, grow = rise_y * x - rise_x * y, rise_x * x + rise_y * y
    bend = np.asarray(cv2.Laplacian(blurred, cv2.CV_64F))[rows, columns]
    design = np.column_stack([rise_x, rise_y, turn, grow, blurred[rows, columns], bend, np.ones(len(x))])
    return np.column_stack([x, y]).astype(np.float64), design


def _tukey(error: Doubles, seen: NDArray[np.bool_], floor: float) -> Doubles:
    """Return Tukey's weights of residuals; a deviation below ``floor`` counts as noise."""
    middle = np.count_nonzero(seen) // 2
    errors: Doubles = np.partition(np.where(seen, error, np.inf), middle)
    spread = max(1.4826 * float(errors[middle]), floor, 1.0)
    weights: Doubles = np.maximum(1.0 - (error / (TUKEY * spread)) ** 2, 0.0) ** 2
    return weights


def _levels(pixels: Floats) -> float:
    return 4.0 * float(pixels.std())
