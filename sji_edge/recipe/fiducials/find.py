"""Find a board's fiducials in a frame, each by the method for its shape."""

from collections.abc import Sequence

from sji_edge.core.errors import RecipeError
from sji_edge.core.preprocess import Image
from sji_edge.recipe.fiducials.circles import find_circles
from sji_edge.recipe.fiducials.marks import Mark, Window, cut_window
from sji_edge.recipe.fiducials.patterns import Pattern, PatternFinder, cross_pattern, template_pattern
from sji_edge.recipe.fiducials.shapes import Circle, Cross, Fiducial


class FiducialFinder:
    """Finds the fiducials of one board.

    Args:
        fiducials: each is searched within ``search_px`` of its place.
        golden: the golden image, uint8 grey or BGR; only template fiducials need it.

    Raises:
        RecipeError: a template without a golden image, or one that cannot be located.
    """

    def __init__(self, fiducials: Sequence[Fiducial], golden: Image | None = None) -> None:
        self._fiducials = tuple(fiducials)
        self._circles = [n for n, one in enumerate(fiducials) if isinstance(one, Circle)]
        self._radii = [one.radius for one in fiducials if isinstance(one, Circle)]
        self._patterns: dict[int, PatternFinder] = {}
        for number, one in enumerate(fiducials):
            if isinstance(one, Circle):
                continue
            pattern = pattern_of(one, golden)
            if isinstance(pattern, str):
                raise RecipeError(f"fiducial {number}: {pattern}", hint="check the recipe")
            self._patterns[number] = PatternFinder(pattern)

    def find(self, frame: Image) -> list[list[Mark]]:
        """Find the candidates for each fiducial.

        Args:
            frame: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``.

        Returns:
            The candidates of each fiducial in frame pixels, the best first; none if its window shows no such mark.
        """
        windows = [cut_window(frame, one) for one in self._fiducials]
        found: list[list[Mark]] = [[] for _ in windows]
        circles = find_circles([windows[number] for number in self._circles], self._radii)
        for number, marks in zip(self._circles, circles, strict=True):
            found[number] = marks
        for number, finder in self._patterns.items():
            found[number] = finder.find(windows[number].pixels)
        return [
            [mark for mark in (_in_frame(mark, window) for mark in marks) if _within(mark, one)]
            for one, window, marks in zip(self._fiducials, windows, found, strict=True)
        ]


def pattern_of(fiducial: Fiducial, golden: Image | None) -> Pattern | str:
    """Return the pattern of a cross or a template, or why it cannot be located."""
    if isinstance(fiducial, Cross):
        return cross_pattern(fiducial)
    if isinstance(fiducial, Circle):
        raise TypeError("a circle is located by its edge, not by a pattern")
    if golden is None:
        return "a template is a patch of golden.png, which is missing"
    pattern = template_pattern(golden, fiducial)
    return pattern.weakness or pattern


def _in_frame(mark: Mark, window: Window) -> Mark:
    return Mark(mark.x + window.left, mark.y + window.top, mark.misfit, mark.contrast)


def _within(mark: Mark, fiducial: Fiducial) -> bool:
    return max(abs(mark.x - fiducial.x), abs(mark.y - fiducial.y)) <= fiducial.search_px
