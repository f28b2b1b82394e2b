import json

import cv2
import numpy as np
import pytest
from support.small_graph import SIDE, crops, model
from support.tiny_bundle import card

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import DataError, GateError
from sji_edge.data.folder import FolderDataset
from sji_edge.quantization.calibration.coverage import cover
from sji_edge.quantization.calibration.dataset import make_calibration_set, read_calibration_set
from sji_edge.quantization.tensor_values import tensors_on

SPEC = PreprocessSpec(height=SIDE, width=SIDE, channels=1)


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "data"
    for split, seed in (("train", 0), ("validation", 1), ("test", 2)):
        for label, count in (("normal", 12), ("defective", 5)):
            folder = root / split / label
            folder.mkdir(parents=True)
            for number, crop in enumerate(crops(count, seed * 10 + len(label))):
                cv2.imwrite(str(folder / f"{number}.png"), crop[:, :, 0])
    return FolderDataset.open(root)


def make(tmp_path, dataset, count=8, force=False):
    folder = tmp_path / "calibration" / "set"
    made = make_calibration_set(
        folder, dataset, model(), card(preprocess=SPEC), count=count, seed=0, force=force
    )
    return folder, made


def test_a_set_covers_every_class_and_pins_every_crop(tmp_path, dataset):
    folder, manifest = make(tmp_path, dataset)
    read, again = read_calibration_set(folder, SPEC)
    assert again == manifest
    assert manifest.audit.by_class == {"normal": 4, "defective": 4}
    assert all(crop.source.startswith("train/") for crop in manifest.crops)
    wanted = [cv2.imread(str(dataset.root / crop.source), cv2.IMREAD_GRAYSCALE) for crop in manifest.crops]
    np.testing.assert_array_equal(read[..., 0], wanted)


def test_a_changed_crop_refuses_the_set(tmp_path, dataset):
    folder, _ = make(tmp_path, dataset)
    cv2.imwrite(str(folder / "crops" / "0003.png"), np.zeros((SIDE, SIDE), np.uint8))
    with pytest.raises(DataError, match=r"0003\.png was altered"):
        read_calibration_set(folder, SPEC)


def test_a_missing_crop_refuses_the_set(tmp_path, dataset):
    folder, _ = make(tmp_path, dataset)
    (folder / "crops" / "0001.png").unlink()
    with pytest.raises(DataError, match=r"0001\.png is missing"):
        read_calibration_set(folder, SPEC)


def test_a_path_out_of_the_set_is_refused(tmp_path, dataset):
    folder, _ = make(tmp_path, dataset)
    content = json.loads((folder / "manifest.json").read_text())
    content["crops"][0]["file"] = "../../secret.png"
    (folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="not a valid calibration manifest"):
        read_calibration_set(folder, SPEC)


def test_a_training_image_that_is_also_held_out_is_refused_and_leaves_nothing_behind(tmp_path, dataset):
    for name in ("normal", "defective"):
        for path in (dataset.root / "train" / name).iterdir():
            (dataset.root / "test" / name / f"copy{path.name}").write_bytes(path.read_bytes())
    leaking = FolderDataset.open(dataset.root)
    with pytest.raises(DataError, match="is in a held-out split too"):
        make(tmp_path, leaking)
    assert not (tmp_path / "calibration" / "set").exists()
    assert not (tmp_path / "calibration").exists()


def blacken(dataset):
    for path in (dataset.root / "train").rglob("*.png"):
        cv2.imwrite(str(path), np.zeros((SIDE, SIDE), np.uint8))
    return FolderDataset.open(dataset.root)


def test_black_crops_fail_the_audit_and_leave_nothing_behind(tmp_path, dataset):
    with pytest.raises(GateError, match="8 of 8 crops are flat") as caught:
        make(tmp_path, blacken(dataset))
    assert "force the set to be written" in caught.value.hint
    assert not (tmp_path / "calibration").exists()


def test_a_forced_set_says_so_and_can_be_read(tmp_path, dataset):
    folder, manifest = make(tmp_path, blacken(dataset), force=True)
    assert manifest.forced
    assert manifest.audit.flat_crops == 8
    crops_read, again = read_calibration_set(folder, SPEC)
    assert again.forced
    assert not crops_read.any()


def test_force_alone_does_not_mark_a_good_set(tmp_path, dataset):
    assert not make(tmp_path, dataset, force=True)[1].forced


def test_a_flat_set_that_nobody_forced_is_refused(tmp_path, dataset):
    folder, _ = make(tmp_path, blacken(dataset), force=True)
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**content, "forced": False}))
    with pytest.raises(GateError, match="flat"):
        read_calibration_set(folder, SPEC)


def write_groups(root, group_of):
    lines = [f"{path.relative_to(root).as_posix()},{group_of(path)}" for path in sorted(root.rglob("*.png"))]
    (root / "labels.csv").write_text("file,group\n" + "\n".join(lines) + "\n")


def test_every_group_is_covered_and_counted(tmp_path, dataset):
    write_groups(dataset.root, lambda path: f"{path.parts[-3]}{int(path.stem) % 3}")
    _, manifest = make(tmp_path, dataset)
    assert sorted(manifest.audit.by_group) == ["train0", "train1", "train2"]
    assert sum(manifest.audit.by_group.values()) == 8
    assert manifest.audit.groups_missing == ()


def test_a_group_that_found_no_place_is_named(tmp_path, dataset):
    write_groups(dataset.root, lambda path: f"{path.parts[-3]}-{path.stem}")
    _, manifest = make(tmp_path, dataset, count=2)
    assert len(manifest.audit.groups_missing) == 12 - len(manifest.audit.by_group)


def test_images_of_a_held_out_group_are_not_chosen(tmp_path, dataset):
    write_groups(dataset.root, lambda path: "shared" if path.stem in ("0", "1") else path.parts[-3])
    _, manifest = make(tmp_path, dataset, count=99)
    assert {crop.source.split("/")[-1] for crop in manifest.crops}.isdisjoint({"0.png", "1.png"})
    assert manifest.audit.left_out == 4
    assert len(manifest.crops) == 13


def test_a_picture_that_is_held_out_in_another_coding_is_not_chosen(tmp_path, dataset):
    image = cv2.imread(str(dataset.root / "test" / "normal" / "3.png"), cv2.IMREAD_GRAYSCALE)
    brighter = np.clip(image.astype(int) + 3, 0, 255).astype(np.uint8)
    cv2.imwrite(str(dataset.root / "train" / "normal" / "5.png"), brighter)
    _, manifest = make(tmp_path, FolderDataset.open(dataset.root), count=99)
    assert "train/normal/5.png" not in {crop.source for crop in manifest.crops}
    assert (manifest.audit.like_held_out, manifest.audit.left_out) == (1, 1)


def test_pictures_repeated_within_the_set_are_counted(tmp_path, dataset):
    source = dataset.root / "train" / "normal" / "0.png"
    image = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)
    (dataset.root / "train" / "normal" / "same.png").write_bytes(source.read_bytes())
    cv2.imwrite(str(dataset.root / "train" / "normal" / "like.png"), np.minimum(image, 250))
    _, manifest = make(tmp_path, FolderDataset.open(dataset.root), count=99)
    assert (manifest.audit.exact_duplicates, manifest.audit.near_duplicates) == (1, 2)


def test_clipping_is_measured_on_crops_outside_the_ranges(tmp_path, dataset):
    _, manifest = make(tmp_path, dataset, count=99)
    chosen = read_calibration_set(tmp_path / "calibration" / "set", SPEC)[0]
    inside, outside = chosen[np.arange(17) % 4 != 3], chosen[np.arange(17) % 4 == 3]
    name = "da"
    seen, later = (
        np.concatenate([values[name] for values in tensors_on(model(), [name], part)])
        for part in (inside, outside)
    )
    wanted = float(((later < seen.min()) | (later > seen.max())).mean())
    assert manifest.audit.clipped.get(name, 0.0) == pytest.approx(wanted, abs=1e-6)


def test_cover_shares_classes_evenly_as_far_as_they_reach():
    labels = np.array([0] * 50 + [1] * 3 + [2] * 20)
    chosen = cover(np.random.default_rng(0).normal(size=(73, 4)).astype(np.float32), labels, 30)
    assert np.bincount(labels[chosen]).tolist() == [14, 3, 13]
    assert len(set(chosen.tolist())) == 30


def test_cover_finds_the_far_clusters():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(200, 2)).astype(np.float32) * 0.1
    features[[7, 80, 150]] += np.array([[9, 0], [0, 9], [-9, -9]], np.float32)
    chosen = cover(features, np.zeros(200, np.int64), 8)
    assert {7, 80, 150} <= set(chosen.tolist())


def test_cover_takes_everything_when_there_are_fewer():
    features = np.zeros((5, 2), np.float32)
    assert cover(features, np.zeros(5, np.int64), 99).tolist() == [0, 1, 2, 3, 4]


def test_cover_is_reproducible():
    features = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32)
    labels = np.arange(60) % 3
    assert cover(features, labels, 20, seed=4).tolist() == cover(features, labels, 20, seed=4).tolist()
    assert cover(features, labels, 20, seed=4).tolist() != cover(features, labels, 20, seed=5).tolist()


def test_cover_takes_the_typical_crop_of_each_group_first():
    rng = np.random.default_rng(5)
    features = rng.normal(size=(60, 2)).astype(np.float32)
    groups = [f"g{index % 6}" for index in range(60)]
    chosen = cover(features, np.zeros(60, np.int64), 6, groups=groups)
    for group in range(6):
        own = np.arange(group, 60, 6)
        away = np.linalg.norm(features[own] - features[own].mean(axis=0), axis=1)
        assert own[np.argmin(away)] in chosen


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_crops_than_classes_are_refused_and_nothing_is_written(tmp_path, dataset, count):
    with pytest.raises(DataError, match=rf"one crop of each class, 2 here \(got {count}\)"):
        make(tmp_path, dataset, count=count)
    assert not (tmp_path / "calibration").exists()


@pytest.mark.parametrize("count", [2, 3, 5, 22])
def test_each_class_gets_its_share_however_few_crops_there_are(count):
    features = np.random.default_rng(3).normal(size=(22, 4)).astype(np.float32)
    labels = np.repeat([0, 1, 2], [15, 5, 2])
    chosen = cover(features, labels, count)
    assert len(chosen) == len(set(chosen.tolist())) == min(count, 22)
    if count >= 3:
        assert set(labels[chosen]) == {0, 1, 2}


def test_a_set_says_which_dataset_and_run_it_came_from(tmp_path, dataset):
    _, manifest = make(tmp_path, dataset)
    assert (manifest.run, manifest.preprocess) == ("tiny", SPEC)
    assert manifest.dataset_sha256 == dataset.sha256()
    trained_here = card(preprocess=SPEC, dataset_sha256=dataset.sha256())
    assert manifest.unfit_for(trained_here) == ""
    assert "another dataset than tiny" in manifest.unfit_for(card(preprocess=SPEC))
    larger = PreprocessSpec(height=2 * SIDE, width=SIDE, channels=1)
    assert manifest.unfit_for(trained_here.model_copy(update={"preprocess": larger})) == (
        f"its crops are {SIDE}x{SIDE}x1, the model's {2 * SIDE}x{SIDE}x1"
    )


def test_a_set_fits_the_run_it_was_made_for_and_no_later_run_of_that_name(tmp_path, dataset):
    own = card(preprocess=SPEC, created_utc="2026-01-01T00:00:00+00:00")
    made = make_calibration_set(tmp_path / "set", dataset, model(), own, count=4, seed=0)
    assert own.dataset_sha256 != made.dataset_sha256
    assert made.unfit_for(own) == ""
    assert made.unfit_for(own.model_copy(update={"created_utc": "2026-02-02T00:00:00+00:00"}))


def test_a_run_trained_without_a_test_split_fits_its_own_dataset(tmp_path, dataset):
    trained_on = FolderDataset.open(dataset.root, splits=("train", "validation"))
    own = card(preprocess=SPEC, dataset_sha256=trained_on.sha256())
    made = make_calibration_set(tmp_path / "set", dataset, model(), own, count=4, seed=0)
    assert made.unfit_for(own) == ""
