import json

import cv2
import numpy as np
import pytest
from quantization.small_graph import SIDE, crops, model

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import DataError, GateError
from sji_edge.data.folder import FolderDataset
from sji_edge.quantization.calibration_set import make_calibration_set, read_calibration_set
from sji_edge.quantization.select import cover

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


def make(tmp_path, dataset, count=8):
    folder = tmp_path / "calibration" / "set"
    return folder, make_calibration_set(folder, dataset, model(), SPEC, count=count, seed=0)


def test_a_set_covers_every_class_and_pins_every_crop(tmp_path, dataset):
    folder, manifest = make(tmp_path, dataset)
    read, again = read_calibration_set(folder, SPEC)
    assert again == manifest
    assert manifest.audit["by_class"] == {"normal": 4, "defective": 4}
    assert all(crop.source.startswith("train/") for crop in manifest.crops)
    wanted = [cv2.imread(str(dataset.root / crop.source), cv2.IMREAD_GRAYSCALE) for crop in manifest.crops]
    np.testing.assert_array_equal(read[..., 0], wanted)


def test_a_changed_crop_refuses_the_set(tmp_path, dataset):
    folder, _ = make(tmp_path, dataset)
    cv2.imwrite(str(folder / "crops" / "0003.png"), np.zeros((SIDE, SIDE), np.uint8))
    with pytest.raises(DataError, match=r"0003\.png is altered"):
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
    with pytest.raises(DataError, match="no valid calibration manifest"):
        read_calibration_set(folder, SPEC)


def test_a_training_image_that_is_held_out_too_is_refused_and_nothing_is_left(tmp_path, dataset):
    for name in ("normal", "defective"):
        for path in (dataset.root / "train" / name).iterdir():
            (dataset.root / "test" / name / f"copy{path.name}").write_bytes(path.read_bytes())
    leaking = FolderDataset.open(dataset.root)
    with pytest.raises(DataError, match="stands in a held-out split, too"):
        make(tmp_path, leaking)
    assert not (tmp_path / "calibration" / "set").exists()
    assert not (tmp_path / "calibration").exists()


def test_black_crops_are_refused(tmp_path, dataset):
    for path in (dataset.root / "train").rglob("*.png"):
        cv2.imwrite(str(path), np.zeros((SIDE, SIDE), np.uint8))
    folder, manifest = make(tmp_path, FolderDataset.open(dataset.root))
    assert manifest.audit["flat_crops"] == 8
    with pytest.raises(GateError, match="flat"):
        read_calibration_set(folder, SPEC)


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
