import numpy as np
import pytest

from sji_edge.core.errors import UsageError
from sji_edge.core.protocols import OwnRecipe
from sji_edge.data.synthetic.boards import SyntheticBoards
from sji_edge.data.synthetic.stream import SyntheticOptions, SyntheticStream
from sji_edge.recipe.align.alignment import Aligner, Alignment
from sji_edge.recipe.board import Recipe


class Ticking:
    """A clock that passes only by waiting, and by ``work_ns`` each time it is read."""

    def __init__(self, work_ns=0):
        self.now_ns, self.work_ns = 0, work_ns

    def monotonic_ns(self):
        self.now_ns += self.work_ns
        return self.now_ns

    def wait(self, seconds):
        self.now_ns += round(seconds * 1e9)
        return False


def stream(clock=None, **options):
    clock = clock or Ticking()
    return SyntheticStream(SyntheticOptions.model_validate(options), clock, clock.wait)


def test_frames_are_the_boards_of_the_seed():
    frames = list(stream(seed=3, joints=4, frames=3))
    boards = SyntheticBoards(3, 4, 0.1, faultless_every=0)
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.pixels, boards.render(index).image)
    assert [frame.name for frame in frames] == [f"synthetic-3-{n:04d}#{n:06d}" for n in range(3)]


def test_frames_come_at_their_rate_from_boards_drawn_ahead():
    frames = list(stream(joints=4, frames=7, fps=50, boards=3))
    assert np.diff([frame.captured_ns for frame in frames]).tolist() == [20_000_000] * 6
    assert frames[0].pixels is frames[3].pixels is frames[6].pixels
    assert not np.array_equal(frames[0].pixels, frames[1].pixels)
    assert frames[4].name == "synthetic-0-0001#000004"


def test_consumer_that_was_late_gets_no_burst():
    clock = Ticking()
    frames = iter(stream(clock, joints=4, fps=10, boards=2))
    next(frames)
    clock.now_ns += 5 * 10**9
    stamps = [next(frames).captured_ns for _ in range(4)]
    assert min(np.diff(stamps)[1:]) >= 100_000_000


def test_the_rate_of_defects_is_the_requested_one():
    boards = SyntheticBoards(0, 4, 1.0, faultless_every=0)
    frames = list(stream(joints=4, defect_rate=1.0, frames=1))
    np.testing.assert_array_equal(frames[0].pixels, boards.render(0).image)
    assert "good" not in boards.render(0).states


def test_the_source_writes_the_recipe_of_its_frames(tmp_path):
    source = stream(seed=5, joints=6, frames=2)
    assert isinstance(source, OwnRecipe)
    source.write_recipe(tmp_path / "recipe")
    recipe = Recipe.load(tmp_path / "recipe")
    assert len(recipe.joints) == 6
    for frame in source:
        found = Aligner(recipe.board).align(frame.pixels)
        assert isinstance(found, Alignment)
        assert found.residual_px < 0.5


def test_options_are_checked():
    for options in ({"defect-rate": "1.5"}, {"joints": "0"}, {"frames": "0"}, {"boards": "1"}):
        with pytest.raises(UsageError, match=next(iter(options))):
            SyntheticStream.open("", options, clock=Ticking(), colour=False, skip=frozenset())
