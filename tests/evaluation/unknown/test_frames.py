import cv2
import numpy as np
import pytest

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import crops_of_frame, crops_to_image
from sji_edge.evaluation.unknown import boards as tried_boards
from sji_edge.evaluation.unknown.boards import _copies, _tasks
from sji_edge.evaluation.unknown.frames import GROWN, Shot, with_layers
from sji_edge.evaluation.unknown.kinds import KINDS

BY_NAME = {kind.name: kind for kind in KINDS}
BOX, PITCH, COLUMNS, ROWS = 40, 120, 5, 4


def turned(degrees, shift=(0.0, 0.0)):
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), -np.sin(angle), shift[0]], [np.sin(angle), np.cos(angle), shift[1]]])


def shot(degrees=0.0, shift=(0.0, 0.0), good=None):
    """A textured board with bright joints: squares of package a in even columns, discs of b in odd ones."""
    rng = np.random.default_rng(0)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (600, 760)).astype(np.float32), (0, 0), 2)
    image = 40 + 30 * grain / np.abs(grain).max()
    boxes, packages = [], []
    for row in range(ROWS):
        for column in range(COLUMNS):
            x, y = 100 + column * PITCH, 100 + row * PITCH
            boxes.append((x, y, BOX, BOX, 0.0))
            packages.append("ab"[column % 2])
            if column % 2:
                cv2.circle(image, (x, y), 15, 200.0, -1)
            else:
                cv2.rectangle(image, (x - 14, y - 14), (x + 14, y + 14), 150.0, -1)
    matrix = turned(degrees, shift)
    frame = cv2.warpAffine(image, matrix, (760, 600), borderMode=cv2.BORDER_REFLECT)
    known = np.ones(len(boxes), bool) if good is None else good
    pixels = np.clip(frame, 0, 255).astype(np.uint8)
    return Shot("one", pixels, matrix, np.array(boxes, float), packages, known, ~known)


def changed(one, name, joint, seed=0):
    layer = BY_NAME[name].draw(one.scene(joint), np.random.default_rng(seed))
    return with_layers(one, {joint: layer})


def cut(one, frame, joint):
    spec = PreprocessSpec(height=BOX, width=BOX, channels=1)
    crop = np.empty((1, BOX, BOX, 1), np.uint8)
    crops_of_frame(frame, crops_to_image(one.boxes[joint][None], spec, one.matrix), crop)
    return crop[0, ..., 0].astype(float)


@pytest.mark.parametrize("degrees", [0.0, 2.0])
@pytest.mark.parametrize("name", BY_NAME)
def test_a_change_stays_at_its_joint(name, degrees):
    one = shot(degrees, (3.3, -2.6))
    joint = 7
    frame = changed(one, name, joint)
    different = np.argwhere(frame != one.pixels)
    assert len(different)
    x, y = one.matrix @ (*one.boxes[joint, :2], 1.0)
    reach = GROWN * BOX / 2 * (1 + np.sin(np.radians(degrees))) + 2
    assert np.abs(different - (y, x)).max() <= reach


@pytest.mark.parametrize("seed", range(6))
def test_absent_shows_the_board_and_no_joint(seed):
    one = shot(1.0)
    assert cut(one, one.pixels, 6).max() > 120
    crop = cut(one, changed(one, "absent", 6, seed), 6)
    assert crop.max() < 90
    # Real board, not a constant: what is shown lies somewhere in the frame.
    assert crop.std() > 2
    inner = crop[6:-6, 6:-6].astype(np.float32)
    found = cv2.matchTemplate(one.pixels.astype(np.float32), inner, cv2.TM_CCOEFF_NORMED)
    assert found.max() > 0.85


@pytest.mark.parametrize("seed", range(6))
def test_another_place_covers_no_joint_s_centre(seed):
    one = shot()
    crop = cut(one, changed(one, "another place", 6, seed), 6)
    found = cv2.matchTemplate(
        one.pixels.astype(np.float32), crop[4:-4, 4:-4].astype(np.float32), cv2.TM_CCOEFF_NORMED
    )
    _, best, _, (left, top) = cv2.minMaxLoc(found)
    assert best > 0.95
    middle = np.array([left, top]) + (BOX - 8 - 1) / 2
    assert np.abs(one.boxes[:, :2] - middle).max(axis=1).min() > 0.25 * BOX


@pytest.mark.parametrize("seed", range(4))
def test_moved_shows_the_frame_half_a_box_away(seed):
    one = shot()
    crop = cut(one, changed(one, "moved", 7, seed), 7)
    x, y, half = int(one.boxes[7, 0]), int(one.boxes[7, 1]), BOX // 2
    places = [(x + dx, y + dy) for dx, dy in ((half, 0), (-half, 0), (0, half), (0, -half))]
    views = [cv2.getRectSubPix(one.pixels, (BOX, BOX), place).astype(float) for place in places]
    assert min(np.abs(crop - view).mean() for view in views) < 3


def test_another_package_shows_a_joint_of_the_other_package():
    one = shot()
    crop = cut(one, changed(one, "another package", 6), 6)
    assert one.packages[6] == "b"
    square = cut(one, one.pixels, 5)
    assert one.packages[5] == "a"
    assert np.abs(crop - square).mean() < 8
    assert np.abs(crop - cut(one, one.pixels, 6)).mean() > 12


def test_only_known_good_joints_are_changed_a_few_at_a_time_and_apart(monkeypatch):
    monkeypatch.setattr(tried_boards, "CHANGED_SHARE", 0.2)
    good = np.arange(ROWS * COLUMNS) % 3 != 0
    one = shot(good=good)
    copies = _copies(one, _tasks([one], 0, seed=4))
    assert sum(map(len, copies)) == len(KINDS) * good.sum()
    for copy in copies:
        joints = [task.joint for task in copy]
        assert 1 <= len(copy) <= 4
        assert len(set(joints)) == len(joints)
        assert good[joints].all()
    # Within the share, kinds are mixed: otherwise a copy of one kind would be another board.
    assert any(len({task.kind for task in copy}) > 1 for copy in copies)


def test_the_same_seed_changes_the_same_joints_in_the_same_way(monkeypatch):
    monkeypatch.setattr(tried_boards, "JOINTS_A_KIND", 4)
    one = shot()
    first, again, other = (_copies(one, _tasks([one], 0, seed)) for seed in (1, 1, 2))
    flat = [[(task.kind, task.joint) for copy in copies for task in copy] for copies in (first, again, other)]
    assert flat[0] == flat[1] != flat[2]
    for copy, same in zip(first, again, strict=True):
        for task, twin in zip(copy, same, strict=True):
            assert np.array_equal(task.layer[0], twin.layer[0])
