"""Labelled joints in folders: ``ROOT/{train,validation,test}/CLASS/IMAGE``."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import DataError
from sji_edge.core.files import sha256_of
from sji_edge.core.preprocess import IMAGE_SUFFIXES, Image, crop_of_image, read_image
from sji_edge.core.registry import nearest

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}
MAX_LISTED = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of one joint, and its class as an index into the dataset's classes."""

    path: Path
    label: int


@dataclass(frozen=True)
class FolderDataset:
    """The samples of each split, sorted by path.

    ``classes`` are sorted by name with the good class first, so that column 0 of the logits is *good*.
    """

    root: Path
    classes: tuple[str, ...]
    good_class: str
    splits: dict[str, tuple[Sample, ...]]

    @classmethod
    def open(
        cls, root: Path, good_class: str = "normal", splits: Sequence[str] = ("train", "validation", "test")
    ) -> "FolderDataset":
        """List a dataset's images, without decoding them.

        Args:
            root: the folder that holds the splits.
            good_class: the class that means *no defect*.
            splits: which of train, validation and test must be there; others are left out.

        Raises:
            DataError: a split is missing, a class folder is empty, there are fewer than two classes, no
                class is called ``good_class``, or the train split lacks a class that another split has.
        """
        folders = {split: _split_folder(root, split) for split in splits}
        found = {split: _class_folders(folder) for split, folder in folders.items()}
        names = sorted({name for classes in found.values() for name in classes})
        if good_class not in names:
            raise DataError(
                f"no class is called {good_class!r} in {root}; found: {', '.join(names) or 'none'}",
                hint=f"name the class without a defect with --good-class ({nearest(good_class, names)})"
                if names
                else "put one folder a class into each split",
            )
        if len(names) < 2:
            raise DataError(
                f"{root} has only the class {names[0]!r}; two or more were wanted, one without defect",
                hint="add a folder of defective joints to each split",
            )
        _check_trained(found, names, root)
        classes = (good_class, *(name for name in names if name != good_class))
        return cls(
            root=root,
            classes=classes,
            good_class=good_class,
            splits={split: _samples(found[split], classes) for split in splits},
        )

    @classmethod
    def open_split(cls, root: Path, split: str, classes: Sequence[str], good_class: str) -> "FolderDataset":
        """List one split for a model whose classes are known; of those it may lack some.

        Args:
            root: the folder that holds the splits.
            split: a key of ``SPLIT_FOLDERS``.
            classes: the model's, in the order of its logits.
            good_class: one of them.

        Raises:
            DataError: the split is missing or holds no image, or has a class that the model does not know.
        """
        found = _class_folders(_split_folder(root, split), may_be_empty=True)
        unknown = sorted(set(found) - set(classes))
        if unknown:
            raise DataError(
                f"{root} has classes the model does not know: {', '.join(unknown)}; it knows: {', '.join(classes)}"
            )
        if not any(found.values()):
            raise DataError(
                f"the {split} split of {root} holds no image", hint="give a split that holds joints"
            )
        return cls(root, tuple(classes), good_class, {split: _samples(found, tuple(classes))})

    def split(self, name: str) -> tuple[Sample, ...]:
        """Return the samples of ``train``, ``validation`` or ``test``; raises ``DataError`` if not opened."""
        if name not in self.splits:
            raise DataError(f"split {name!r} of {self.root} was not opened; opened: {', '.join(self.splits)}")
        return self.splits[name]

    def labels(self, split: str) -> NDArray[np.int64]:
        """Class index of every sample of a split, int64 ``(n,)``."""
        return np.array([sample.label for sample in self.split(split)], dtype=np.int64)

    def read(self, split: str, colour: bool = True) -> list[Image]:
        """Decode a whole split; see ``read_images``."""
        return read_images([sample.path for sample in self.split(split)], colour=colour)

    def crops(self, split: str, spec: PreprocessSpec) -> NDArray[np.uint8]:
        """Return the model's crops of a split, uint8 ``(n, height, width, channels)``."""
        return crops_of(self.read(split, colour=spec.channels == 3), spec)

    def sha256(self) -> str:
        """Hash over every image's split, class, name and content."""
        digest = hashlib.sha256()
        for split, samples in sorted(self.splits.items()):
            for sample in samples:
                digest.update(f"{split}/{self.classes[sample.label]}/{sample.path.name}\n".encode())
                digest.update(sha256_of(sample.path).encode())
        return digest.hexdigest()


def read_images(paths: Sequence[Path], colour: bool = True) -> list[Image]:
    """Decode images in order.

    Raises:
        DataError: names every unreadable file (the first few in full), not only the first one.
    """

    def attempt(path: Path) -> Image | DataError:
        try:
            return read_image(path, colour=colour)
        except DataError as error:
            return error

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(attempt, paths))
    faults = [result for result in results if isinstance(result, DataError)]
    if faults:
        listed = "; ".join(fault.message for fault in faults[:MAX_LISTED])
        more = f"; and {len(faults) - MAX_LISTED} more" if len(faults) > MAX_LISTED else ""
        raise DataError(listed + more, hint="remove these files or copy them again")
    return [result for result in results if not isinstance(result, DataError)]


def channels_of(images: Sequence[Image]) -> Literal[1, 3]:
    """Channels that images ask for: 1 where all are grey, else 3."""
    return 1 if all(image.ndim == 2 for image in images) else 3


def crops_of(images: Sequence[Image], spec: PreprocessSpec) -> NDArray[np.uint8]:
    """Return the model's crops of images that show one joint each, uint8 ``(n, height, width, channels)``."""
    crops = np.empty((len(images), *spec.shape), np.uint8)
    for image, crop in zip(images, crops, strict=True):
        crop[:] = crop_of_image(image, spec)
    return crops


def _split_folder(root: Path, split: str) -> Path:
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", hint="give the folder that holds train/ and validation/")
    for name in SPLIT_FOLDERS[split]:
        if (root / name).is_dir():
            return root / name
    present = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    raise DataError(
        f"{root} has no {split} split; found: {', '.join(present) or 'no folder'}",
        hint=f"add the folder {root / split} with one folder a class",
    )


def _class_folders(split: Path, may_be_empty: bool = False) -> dict[str, list[Path]]:
    classes = {}
    for folder in sorted(entry for entry in split.iterdir() if entry.is_dir() and entry.name[0] != "."):
        images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if not images and not may_be_empty:
            raise DataError(
                f"class folder {folder} holds no image ({', '.join(IMAGE_SUFFIXES)})",
                hint="add images to it, or remove it from every split",
            )
        classes[folder.name] = images
    if not classes:
        raise DataError(f"{split} has no class folder", hint="put one folder a class into it")
    return classes


def _check_trained(found: dict[str, dict[str, list[Path]]], names: list[str], root: Path) -> None:
    missing = [name for name in names if name not in found.get("train", names)]
    if missing:
        raise DataError(
            f"the train split of {root} has no class {missing[0]!r}, which another split has; "
            f"found: {', '.join(found['train'])}",
            hint="add it to the train split, or correct the folder's name",
        )


def _samples(found: dict[str, list[Path]], classes: tuple[str, ...]) -> tuple[Sample, ...]:
    return tuple(Sample(path, classes.index(name)) for name, paths in sorted(found.items()) for path in paths)
