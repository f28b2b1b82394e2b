"""A guard for a finished run, which also learns what a recipe's enrolled boards show."""

import json
import shutil

import cv2
import numpy as np
import pytest
from support.drawn_board import MARKS, board_settings, draw
from support.tiny_dataset import draw_joint, write_dataset

from sji_edge.core.errors import RecipeError, UsageError
from sji_edge.core.features import CELL_FEATURES
from sji_edge.core.verdict import PASS, REVIEW, decide, defect_scores
from sji_edge.data.folder import FolderDataset
from sji_edge.models.checkpoint import load_guard, load_run
from sji_edge.models.predict import answers_of
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.enrolled import write_enrolled
from sji_edge.training.settings import TrainSettings
from sji_edge.training.train import train
from sji_edge.workflows.compare.subjects import open_side
from sji_edge.workflows.guard import fit_guard
from sji_edge.workflows.line_joints import line_joints

PLACES = [(x, y) for x in (150, 250, 350, 450) for y in (130, 230, 330, 430)]
SIDE = 44


@pytest.fixture(scope="module")
def joints(tmp_path_factory) -> FolderDataset:
    root = write_dataset(tmp_path_factory.mktemp("joints") / "data")
    return FolderDataset.open(root, splits=("train", "validation"))


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory, joints):
    settings = TrainSettings(
        data=joints.root,
        runs=tmp_path_factory.mktemp("guard") / "runs",
        name="tiny",
        model="resnet18",
        image_size=48,
        epochs=1,
        batch_size=8,
        accelerator="cpu",
        guard=False,
    )
    return train(settings, joints)


def framed(rng):
    """A frame of good joints in a board darker than the dataset's crops ever show."""
    image = draw([(x, y, 12.0) for x, y in MARKS])
    for x, y in PLACES:
        joint = cv2.resize(draw_joint(True, rng), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        image[y - SIDE // 2 : y + SIDE // 2, x - SIDE // 2 : x + SIDE // 2] = 255 - joint
    return image


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("line") / "recipe"
    (folder / "enrolled").mkdir(parents=True)
    rows = [f"J{number},{x},{y},{SIDE},{SIDE},pad" for number, (x, y) in enumerate(PLACES)]
    (folder / "joints.csv").write_text("\n".join(["refdes,x,y,width,height,package", *rows]) + "\n")
    (folder / "board.json").write_text(json.dumps(board_settings()))
    rng = np.random.default_rng(11)
    frames = [
        (
            f"board{number}.png",
            cv2.imencode(".png", framed(rng))[1].tobytes(),
            {"J3": "bridge"} if number == 1 else {},
        )
        for number in range(6)
    ]
    write_enrolled(folder / "enrolled", frames)
    return folder


def test_good_joints_are_cut_as_the_line_cuts_them_and_some_boards_are_held_out(enrolled, plain_run):
    spec = plain_run.card.preprocess
    line = line_joints([Recipe.load(enrolled)], spec, seed=0)
    assert line.good.shape == (4 * 16 - 1, *spec.shape)
    assert line.held_out.shape == (2 * 16, *spec.shape)
    assert line.backgrounds.shape[1:] == spec.shape
    # The board between the joints is flat; joints are not.
    assert np.median(line.backgrounds.std(axis=(1, 2, 3))) < 0.5 * np.median(line.good.std(axis=(1, 2, 3)))


def test_a_refitted_guard_knows_the_line_and_leaves_the_classifier_as_it_is(
    plain_run, joints, enrolled, tmp_path
):
    runs = plain_run.folder.parent
    without = fit_guard(joints.root, plain_run.folder, runs=runs, name="without")
    known = fit_guard(joints.root, plain_run.folder, runs=runs, name="with", recipes=[enrolled])
    assert known.card.training["guard_recipes"] == "recipe"
    assert known.card.name == "with"
    line = line_joints([Recipe.load(enrolled)], known.card.preprocess, seed=0)
    shares = []
    for run in (without, known):
        model, card = load_run(run.folder)
        _, novelty = answers_of(load_guard(run.folder, model), line.held_out)
        shares.append((novelty < card.thresholds.novelty).mean())
        plain, _ = load_run(plain_run.folder)
        assert all(
            (one == other).all()
            for one, other in zip(plain.state_dict().values(), model.state_dict().values(), strict=True)
        )
    assert shares[1] >= 0.95
    assert shares[0] < shares[1]


def test_the_card_measures_the_new_limits_and_names_another_dataset(plain_run, joints, tmp_path):
    said: list[str] = []
    run = fit_guard(joints.root, plain_run.folder, runs=tmp_path, review_budget=0.5, progress=said.append)
    assert not [line for line in said if "is not the dataset" in line]
    model, card = load_run(run.folder)
    logits, novelty = answers_of(load_guard(run.folder, model), joints.crops("validation", card.preprocess))
    codes = decide(defect_scores(logits, card.good_index), card.thresholds, novelty)
    good = joints.labels("validation") == card.good_index
    reviewed = int((codes[good] == REVIEW).sum())
    assert (
        card.metrics["validation"]["good_reviews"]
        == reviewed
        != plain_run.card.metrics["validation"]["good_reviews"]
    )
    assert card.metrics["validation"]["escapes"] == (codes[~good] == PASS).sum()
    shutil.copytree(joints.root, tmp_path / "grown")
    cv2.imwrite(
        str(tmp_path / "grown" / "train" / "normal" / "new.png"), draw_joint(True, np.random.default_rng(9))
    )
    fit_guard(tmp_path / "grown", plain_run.folder, runs=tmp_path, name="other", progress=said.append)
    assert f"{tmp_path / 'grown'} is not the dataset that tiny was trained on, or has changed since" in said


def test_a_run_gives_features_as_an_engine_does_so_that_it_can_be_measured_with_a_recipe(
    plain_run, joints, tmp_path
):
    run = fit_guard(joints.root, plain_run.folder, runs=tmp_path)
    with open_side(run.folder) as side:
        crops = np.full((2, *side.engine.spec.crop_shape), 90, np.uint8)
        assert side.engine.infer(crops).features.shape == (2, side.engine.spec.features)
        # 48 pixels are 3 x 3 cells at stride 16.
        assert side.engine.spec.features == 9 * CELL_FEATURES
    with open_side(plain_run.folder) as side:
        assert (side.engine.spec.guarded, side.engine.spec.features) == (False, 0)


def test_a_recipe_without_enrolled_boards_and_another_dataset_are_refused(
    plain_run, joints, enrolled, tmp_path
):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("board.json", "joints.csv"):
        (bare / name).write_bytes((enrolled / name).read_bytes())
    with pytest.raises(RecipeError, match="has no enrolled boards"):
        fit_guard(joints.root, plain_run.folder, runs=tmp_path, recipes=[bare])
    assert not list(tmp_path.glob("tiny*"))
    for split in ("train", "validation"):
        for name in ("normal", "open"):
            folder = tmp_path / "other" / split / name
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / "a.png"), draw_joint(True, np.random.default_rng(0)))
    with pytest.raises(UsageError, match=r"has the classes normal, open, the run"):
        fit_guard(tmp_path / "other", plain_run.folder, runs=tmp_path)
