import shutil

import cv2
import numpy as np
import pytest
from support.tiny_dataset import write_dataset

from sji_edge.cli.main import run
from sji_edge.data.audit import audit, short_audit
from sji_edge.data.folder import FolderDataset
from sji_edge.data.shortcut import shortcut_auc

COUNTS = {
    "train": {"normal": 24, "defective": 16},
    "validation": {"normal": 12, "defective": 12},
    "test": {"normal": 12, "defective": 12},
}


@pytest.fixture
def root(tmp_path):
    return write_dataset(tmp_path / "data", COUNTS)


def kinds(root, serious=None):
    found = audit(FolderDataset.open(root)).findings
    return {finding.kind for finding in found if serious is None or finding.serious is serious}


def test_a_sound_dataset_has_no_leak_and_no_odd_file(root):
    assert kinds(root) <= {"shortcut"}


def test_every_unreadable_file_is_named_and_the_others_are_still_looked_at(root):
    (root / "train" / "normal" / "000.png").write_text("no image")
    (root / "test" / "normal" / "001.png").write_bytes(b"")
    found = audit(FolderDataset.open(root))
    unreadable = next(finding for finding in found.findings if finding.kind == "unreadable")
    assert set(unreadable.files) == {"train/normal/000.png", "test/normal/001.png"}
    assert found.shortcuts["size"] is not None


def test_an_exact_copy_in_another_split_is_a_leak(root):
    shutil.copy(root / "train" / "normal" / "003.png", root / "test" / "normal" / "copy.png")
    found = next(f for f in audit(FolderDataset.open(root)).findings if f.kind == "leak")
    assert found.serious
    assert set(found.files) == {"train/normal/003.png", "test/normal/copy.png"}
    assert {finding.kind for finding in short_audit(FolderDataset.open(root))} == {"leak"}


def test_a_copy_in_another_class_is_a_label_conflict(root):
    shutil.copy(root / "train" / "normal" / "003.png", root / "train" / "defective" / "copy.png")
    assert "label conflict" in kinds(root, serious=True)


def test_a_recompressed_copy_is_a_near_leak(root):
    image = cv2.imread(str(root / "train" / "normal" / "003.png"), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(root / "test" / "normal" / "copy.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert "near leak" in kinds(root, serious=True)


def test_a_group_in_two_splits_is_torn(root):
    lines = ["file,group", "train/normal/000.png,a", "test/normal/000.png,a", "train/normal/001.png,b"]
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    torn = next(f for f in audit(FolderDataset.open(root)).findings if f.kind == "torn group")
    assert torn.text.startswith("1 group")


def test_sixteen_bit_files_of_a_twelve_bit_camera_are_reported_as_black(root):
    path = root / "train" / "normal" / "000.png"
    dark = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 16
    cv2.imwrite(str(path), dark)
    found = [f for f in audit(FolderDataset.open(root)).findings if f.kind == "odd samples"]
    assert any(finding.serious and "look black" in finding.text for finding in found)
    assert any("mixed" in finding.text for finding in found)


def test_a_cmyk_jpeg_is_named(root):
    pytest.importorskip("PIL.Image").new("CMYK", (40, 40), (10, 20, 30, 40)).save(
        root / "train" / "normal" / "ink.jpg"
    )
    found = [f for f in audit(FolderDataset.open(root)).findings if "CMYK" in f.text]
    assert found[0].files == ("train/normal/ink.jpg",)


def test_a_label_predictable_by_size_alone_is_found(root):
    for path in (root / "train" / "defective").iterdir():
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path), 0), (60, 50)))
    found = audit(FolderDataset.open(root))
    assert found.shortcuts["size"] > 0.99
    assert any(finding.kind == "shortcut" and finding.text.startswith("size") for finding in found.findings)


def test_random_labels_cannot_be_predicted():
    rng = np.random.default_rng(0)
    auc = shortcut_auc(rng.normal(size=(200, 3)), rng.random(200) < 0.4, [str(n) for n in range(200)])
    assert 0.35 < auc < 0.65


def test_defects_of_a_single_board_give_no_auc():
    is_defect = np.arange(40) < 10
    groups = ["board-1" if defect else str(number) for number, defect in enumerate(is_defect)]
    assert shortcut_auc(np.random.default_rng(0).normal(size=(40, 3)), is_defect, groups) is None


def test_a_file_name_cannot_forge_a_line_of_the_audit(root, capsys):
    (root / "train" / "defective" / "a\nno faults found.png").write_bytes(b"no image")
    with pytest.raises(SystemExit):
        run(["audit", str(root), "--strict"])
    assert not any(line.startswith("no faults found") for line in capsys.readouterr().out.splitlines())


def test_too_few_joints_give_no_auc():
    assert shortcut_auc(np.zeros((6, 1)), np.arange(6) < 3, list("abcdef")) is None


@pytest.mark.parametrize(("spoil", "code"), [(False, 0), (True, 3)])
def test_strict_ends_with_exit_3_when_something_serious_is_found(root, tmp_path, spoil, code, capsys):
    # Levelled, so that no shortcut is found.
    for path in root.rglob("*.png"):
        image = cv2.imread(str(path), 0).astype(float)
        cv2.imwrite(str(path), np.clip(image - image.mean() + 110, 0, 255).astype(np.uint8))
    if spoil:
        shutil.copy(root / "train" / "normal" / "003.png", root / "test" / "normal" / "copy.png")
    with pytest.raises(SystemExit) as stop:
        run(["audit", str(root), "--strict", "--json-file", str(tmp_path / "audit.json")])
    assert int(stop.value.code or 0) == code
    assert (tmp_path / "audit.json").is_file()
    assert ("leak" in capsys.readouterr().out) is spoil


def test_what_is_left_out_is_shown_and_fails_a_strict_audit(root, capsys):
    nested = root / "train" / "defective" / "bridge"
    nested.mkdir()
    for number in range(5):
        (root / "train" / "defective" / f"{number:03d}.png").rename(nested / f"{number:03d}.png")
    (root / "train" / "normal" / "list.xyz").write_text("x")
    found = [f for f in short_audit(FolderDataset.open(root)) if f.kind == "left out"]
    assert {finding.text for finding in found} == {
        "5 images in sub-folders of a class folder",
        "1 .xyz file",
    }
    assert all(finding.serious for finding in found)
    with pytest.raises(SystemExit) as stop:
        run(["audit", str(root), "--strict"])
    assert stop.value.code == 3
    assert "left out: 5 images in sub-folders" in capsys.readouterr().out


def test_colour_among_grey_images_fails_a_strict_audit(root):
    path = root / "train" / "normal" / "000.png"
    cv2.imwrite(str(path), cv2.applyColorMap(cv2.imread(str(path)), cv2.COLORMAP_JET))
    assert "mixed colour" in kinds(root, serious=True)


def test_a_declared_bit_depth_is_no_finding(root):
    path = root / "train" / "normal" / "000.png"
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 16)
    found = audit(FolderDataset.open(root, bit_depth=12)).findings
    assert not any("look black" in finding.text for finding in found)


def test_classes_that_differ_in_spelling_only_are_refused(root, capsys):
    (root / "train" / "normal").rename(root / "train" / "tmp")
    (root / "train" / "tmp").rename(root / "train" / "Normal ")
    for command in ("audit", "train"):
        with pytest.raises(SystemExit) as stop:
            run([command, str(root)])
        assert stop.value.code == 2
        assert "Normal" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_exit_7_before_the_images_are_read(root, tmp_path, capsys):
    (root / "train" / "normal" / "000.png").write_text("unreadable")
    with pytest.raises(SystemExit) as stop:
        run(["audit", str(root), "--json-file", str(root / "train")])
    assert stop.value.code == 7
    printed = capsys.readouterr()
    assert "cannot write" in printed.err
    assert "unreadable" not in printed.out
