"""Each kind's picture does what its name says, checked without the code that drew it."""

import cv2
import numpy as np
import pytest

from sji_edge.evaluation.unknown.crops import MAX_STRETCH, scene_of
from sji_edge.evaluation.unknown.kinds import KINDS
from sji_edge.evaluation.unknown.scene import Scene, laid_over, plane

SIDE, BOARD, PAD = 80, 30.0, 12.0
BY_NAME = {kind.name: kind for kind in KINDS}


def joint(seed=0, height=SIDE, width=SIDE):
    """A dark, rippled disc with a highlight on a board of level 30 with a little grain."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    away = np.hypot((rows - height / 2) / height, (columns - width / 2) / width)
    image = np.where(away < 0.36, PAD + 6 * np.sin(rows / 3) * np.cos(columns / 4), BOARD)
    image[height // 3 : height // 3 + 8, width // 2 : width // 2 + 14] = 220
    return np.clip(image + rng.normal(0, 0.7, image.shape), 0, 255).astype(np.uint8)


JOINTS = [joint(seed) for seed in range(6)]


def drawn(name, seed, joints=JOINTS, packages=None, index=0):
    """The joint before, the joint after, float ``(h, w)``."""
    scene = scene_of(joints, packages or ["a"] * len(joints), index)
    layer = BY_NAME[name].draw(scene, np.random.default_rng(seed))
    return scene.own[..., 0], laid_over(scene.own, layer)[..., 0]


def changed(before, after, least=20):
    return np.abs(after - before) >= least


def blobs(mask):
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return [stats[label] for label in range(1, count)]


SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_moved_shows_half_of_the_joint_and_half_of_a_neighbour(seed):
    before, after = drawn("moved", seed)
    half = SIDE // 2
    own = {
        "right": (before[:, half:], after[:, :half]),
        "left": (before[:, :half], after[:, half:]),
        "lower": (before[half:], after[:half]),
        "upper": (before[:half], after[half:]),
    }
    assert sum(np.array_equal(*pair) for pair in own.values()) == 1
    side = next(name for name, pair in own.items() if np.array_equal(*pair))
    new = {"right": after[:, half:], "left": after[:, :half], "lower": after[half:], "upper": after[:half]}[
        side
    ]
    mates = [
        {"right": m[:, :half], "left": m[:, half:], "lower": m[:half], "upper": m[half:]}[side]
        for m in JOINTS[1:]
    ]
    assert any(np.array_equal(new, mate) for mate in mates)


def test_a_joint_without_a_mate_stands_beside_itself_half_a_pitch_off():
    before, after = drawn("moved", 1, joints=JOINTS[:1])
    assert any(np.array_equal(after, np.roll(before, SIDE // 2, axis)) for axis in (0, 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_half_missing_keeps_one_half_and_shows_the_board_in_the_other(seed):
    before, after = drawn("half missing", seed)
    # Board and board are equal here and there by chance.
    kept = cv2.blur((after == before).astype(np.float32), (7, 7)) > 0.8
    assert 0.4 < kept.mean() < 0.6
    gone = after[~cv2.dilate(kept.astype(np.uint8), np.ones((11, 11))).astype(bool)]
    assert np.abs(gone - BOARD).max() < 5
    # The halves are halves: their centres lie on two sides of the middle.
    centres = [np.argwhere(part).mean(axis=0) for part in (kept, ~kept)]
    assert np.hypot(*(centres[0] - centres[1])) > 0.4 * SIDE


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cover_is_one_smooth_patch_over_a_good_part_of_the_joint(seed):
    before, after = drawn("covered", seed)
    different = np.abs(after - before) > 3
    patch = cv2.morphologyEx(different.astype(np.uint8), cv2.MORPH_OPEN, np.ones((7, 7)))
    assert 0.15 < patch.mean() <= 0.95
    inside = cv2.erode(patch, np.ones((9, 9))).astype(bool)
    ripple = after - cv2.GaussianBlur(after, (0, 0), 3)
    assert ripple[inside].std() < 5


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wire_is_thin_and_runs_from_border_to_border(seed):
    before, after = drawn("wire or hair", seed)
    mask = np.abs(after - before) > 4
    assert changed(before, after).mean() >= 0.005
    assert mask.mean() < 0.16
    longest = max(
        blobs(cv2.dilate(mask.astype(np.uint8), np.ones((5, 5)))), key=lambda blob: max(blob[2], blob[3])
    )
    assert max(longest[2], longest[3]) > 0.5 * SIDE


@pytest.mark.parametrize("seed", SEEDS)
def test_solder_balls_are_few_small_round_and_shine(seed):
    before, after = drawn("solder ball", seed)
    mask = after - before > 15
    assert 1 <= len([blob for blob in blobs(mask) if blob[4] > 4]) <= 6
    assert (np.abs(after - before) > 4).mean() < 0.3
    for x, y, width, height, area in blobs(mask):
        if area > 60:
            assert max(width, height) <= 0.26 * SIDE + 2 or len(blobs(mask)) < 3
            assert after[y : y + height, x : x + width].max() > 100


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stain_dulls_the_joint_but_lets_it_shine_through(seed):
    before, after = drawn("flux stain", seed)
    stained = np.abs(after - before) > 8
    assert 0.1 < stained.mean() < 0.75
    inside = cv2.erode(stained.astype(np.uint8), np.ones((9, 9))).astype(bool)
    if inside.sum() > 200 and before[inside].std() > 2:
        assert np.corrcoef(before[inside], after[inside])[0, 1] > 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_a_foreign_object_is_one_compact_body(seed):
    before, after = drawn("foreign object", seed)
    body = max(blobs(np.abs(after - before) > 3), key=lambda blob: blob[4])
    assert 0.08 * SIDE < max(body[2], body[3]) < 0.85 * SIDE
    assert changed(before, after).mean() >= 0.008
    outside = np.ones_like(before, bool)
    outside[max(0, body[1] - 12) : body[1] + body[3] + 12, max(0, body[0] - 12) : body[0] + body[2] + 12] = (
        False
    )
    assert (np.abs(after - before)[outside] < 3).all() if outside.any() else True


def test_another_package_shows_a_joint_of_another_package_at_its_own_scale():
    wide = [joint(seed, 80, 170) for seed in (20, 21)]
    _before, after = drawn("another package", 3, [*JOINTS, *wide], ["a"] * 6 + ["b"] * 2)
    assert any(np.array_equal(after, mate[:, 45:125]) for mate in wide)
    # A joint that is too small for the box would have to be enlarged: there is no such picture.
    small = [joint(9, 60, 60)]
    scene = scene_of([JOINTS[0], *small], ["a", "b"], 0)
    assert SIDE / 60 > MAX_STRETCH
    assert BY_NAME["another package"].draw(scene, np.random.default_rng(0)) is None


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_has_nothing_of_the_joint(seed):
    before, after = drawn("noise", seed)
    assert abs(np.corrcoef(before.ravel(), after.ravel())[0, 1]) < 0.06
    assert abs(np.corrcoef(after[:, 1:].ravel(), after[:, :-1].ravel())[0, 1]) < 0.06


def test_negative_exchanges_dark_and_bright():
    before, after = drawn("negative", 0)
    assert np.array_equal(before + after, np.full_like(before, 255))


def test_what_only_frames_show_is_not_drawn_from_a_joint_alone():
    scene = scene_of(JOINTS, ["a"] * 6, 0)
    for name in ("absent", "another place"):
        assert BY_NAME[name].draw(scene, np.random.default_rng(0)) is None


def test_absent_and_another_place_show_what_the_scene_knows():
    board, place = np.full((SIDE, SIDE, 1), 33, np.float32), np.full((SIDE, SIDE, 1), 44, np.float32)
    own = plane(JOINTS[0])
    scene = Scene(own, lambda _: own, lambda *_: own, lambda _: board, lambda _: place)
    for name, level in (("absent", 33), ("another place", 44)):
        after = laid_over(own, BY_NAME[name].draw(scene, np.random.default_rng(0)))[..., 0]
        middle = slice(SIDE // 8, -SIDE // 8)
        assert np.abs(after[middle, middle] - level).max() < 0.05


@pytest.mark.parametrize("name", [kind.name for kind in KINDS if kind.need == "joint"])
def test_colour_joints_stay_colour(name):
    colour = [cv2.applyColorMap(image, cv2.COLORMAP_BONE) for image in JOINTS]
    scene = scene_of(colour, ["a"] * 6, 0)
    after = laid_over(scene.own, BY_NAME[name].draw(scene, np.random.default_rng(0)))
    assert after.shape == (SIDE, SIDE, 3)
    assert after.dtype == np.float32
    assert after.min() >= 0
    assert after.max() <= 255
