"""Labelled joints in folders: ``ROOT/{train,validation,test}/CLASS/IMAGE``."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import DataError, UsageError
from sji_edge.core.files import sha256_of
from sji_edge.core.left_out import LeftOut, in_one_line, tally
from sji_edge.core.preprocess import Image, crop_of_image
from sji_edge.core.registry import nearest
from sji_edge.core.text import listing, readable
from sji_edge.data.groups import rows_left_out
from sji_edge.data.listing import (
    SPLIT_FOLDERS,
    Listing,
    beside_splits,
    check_spelling,
    check_trained,
    list_split,
    split_folder,
)
from sji_edge.data.stored_images import StoredImages

__all__ = [
    "SPLIT_FOLDERS",
    "FolderDataset",
    "Sample",
    "channels_of",
    "crops_of",
    "mixed_colour",
    "read_images",
]


def check_split_name(name: str) -> None:
    """Raise ``UsageError`` for a name that is not a split; suggests the nearest one."""
    if name not in SPLIT_FOLDERS:
        raise UsageError(f"unknown split {name!r}", hint=nearest(name, list(SPLIT_FOLDERS)))


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of one joint, and its class as an index into the dataset's classes."""

    path: Path
    label: int


@dataclass(frozen=True)
class FolderDataset:
    """The samples of each split, sorted by path.

    ``classes`` are sorted by name with the good class first, so that column 0 of the logits is *good*.
    ``left_out`` counts what lies in the folder and is not used. ``bit_depth`` is that of 16-bit images; None when
    nobody declared it, see ``core.preprocess.read_image``.
    """

    root: Path
    classes: tuple[str, ...]
    good_class: str
    splits: dict[str, tuple[Sample, ...]]
    left_out: tuple[LeftOut, ...] = ()
    bit_depth: int | None = None

    @classmethod
    def open(
        cls,
        root: Path,
        good_class: str = "normal",
        splits: Sequence[str] = ("train", "validation", "test"),
        *,
        strict: bool = False,
        bit_depth: int | None = None,
    ) -> "FolderDataset":
        """List a dataset's images, without decoding them.

        Args:
            root: the folder that holds the splits.
            good_class: the class that means *no defect*.
            splits: which of train, validation and test to open; each must exist.
            strict: raise an error when anything in the folder is left out.
            bit_depth: how many bits of their 16-bit samples the images use.

        Raises:
            DataError: a split is missing, a class folder is empty, there are fewer than two classes, two classes
                differ only in spelling, no class is called ``good_class``, the train split lacks a class that
                another split has, or something is left out and ``strict`` is set.
        """
        listed = {split: list_split(split_folder(root, split)) for split in splits}
        names = sorted({name for found in listed.values() for name in found.classes})
        check_spelling(names, root)
        if good_class not in names:
            raise DataError(
                f"no class is called {good_class!r} in {root}; found: {', '.join(names) or 'none'}",
                hint=f"set the good class to the class without a defect ({nearest(good_class, names)})"
                if names
                else "put one folder per class into each split",
            )
        if len(names) < 2:
            raise DataError(
                f"{root} has only the class {names[0]!r}; a dataset needs at least two, one of them without defect",
                hint="add a folder of defective joints to each split",
            )
        check_trained({split: found.classes for split, found in listed.items()}, names, root)
        classes = (good_class, *(name for name in names if name != good_class))
        return cls(
            root=root,
            classes=classes,
            good_class=good_class,
            splits={split: _samples(found, classes) for split, found in listed.items()},
            left_out=_left_out(root, listed, classes, strict),
            bit_depth=bit_depth,
        )

    @classmethod
    def open_split(
        cls,
        root: Path,
        split: str,
        classes: Sequence[str],
        good_class: str,
        *,
        strict: bool = False,
        bit_depth: int | None = None,
    ) -> "FolderDataset":
        """List one split for a model whose classes are known; the split may lack some of them.

        Args:
            root: the folder that holds the splits.
            split: a key of ``SPLIT_FOLDERS``.
            classes: the model's, in the order of its logits.
            good_class: one of them.
            strict: raise an error when anything in the folder is left out.
            bit_depth: how many bits of their 16-bit samples the images use.

        Raises:
            DataError: the split is missing or holds no image, has a class that the model does not know, or
                something is left out and ``strict`` is set.
        """
        listed = list_split(split_folder(root, split), may_be_empty=True)
        unknown = sorted(set(listed.classes) - set(classes))
        if unknown:
            raise DataError(
                f"{root} has classes the model does not know: {listing(unknown)}; it knows: {', '.join(classes)}"
            )
        if not any(listed.classes.values()):
            raise DataError(
                f"the {split} split of {root} holds no image", hint="choose a split that holds joints"
            )
        return cls(
            root=root,
            classes=tuple(classes),
            good_class=good_class,
            splits={split: _samples(listed, tuple(classes))},
            left_out=_left_out(root, {split: listed}, classes, strict),
            bit_depth=bit_depth,
        )

    def split(self, name: str) -> tuple[Sample, ...]:
        """Return the samples of ``train``, ``validation`` or ``test``; raises ``DataError`` if not opened."""
        if name not in self.splits:
            raise DataError(f"split {name!r} of {self.root} was not opened; opened: {', '.join(self.splits)}")
        return self.splits[name]

    def labels(self, split: str) -> NDArray[np.int64]:
        """Class index of every sample of a split, int64 ``(n,)``."""
        return np.array([sample.label for sample in self.split(split)], dtype=np.int64)

    def read(self, split: str, colour: bool = True) -> StoredImages:
        """Decode a whole split; see ``read_images``."""
        paths = [sample.path for sample in self.split(split)]
        return read_images(paths, colour=colour, bit_depth=self.bit_depth)

    def crops(self, split: str, spec: PreprocessSpec) -> NDArray[np.uint8]:
        """Return the model's crops of a split, uint8 ``(n, height, width, channels)``."""
        return crops_of(self.read(split, colour=spec.channels == 3), spec)

    def sha256(self) -> str:
        """Hash over every image's split, class, name and content."""
        digest = hashlib.sha256()
        for split, samples in sorted(self.splits.items()):
            for sample in samples:
                digest.update(
                    f"{split}/{self.classes[sample.label]}/{sample.path.name}\n".encode(
                        errors="surrogateescape"
                    )
                )
                digest.update(sha256_of(sample.path).encode())
        return digest.hexdigest()


def read_images(paths: Sequence[Path], colour: bool = True, bit_depth: int | None = None) -> StoredImages:
    """Decode images in order; see ``core.preprocess.read_image``. What does not fit in memory stays on the disk.

    Raises:
        DataError: counts the files that cannot be used and says what is wrong with the first few.
    """
    return StoredImages(paths, colour=colour, bit_depth=bit_depth)


def channels_of(images: Sequence[Image]) -> Literal[1, 3]:
    """Return the channels of a model for these images: 1 or 3.

    3 needs colour: where grey images are among them, an image whose channels are all equal (a palette or RGB file
    of a grey picture) counts as grey. See ``mixed_colour`` for a mix that is real.
    """
    if not any(image.ndim == 2 for image in images):
        return 3
    return 3 if any(map(_shows_colour, images)) else 1


def mixed_colour(paths: Sequence[Path], images: Sequence[Image]) -> str:
    """Say which images are the odd ones where grey and colour are mixed; empty where they are not."""
    colour = [path for path, image in zip(paths, images, strict=True) if _shows_colour(image)]
    grey = [path for path, image in zip(paths, images, strict=True) if image.ndim == 2]
    if not colour or not grey:
        return ""
    few, kind = (colour, "in colour") if len(colour) <= len(grey) else (grey, "grey")
    named = readable(listing([path.name for path in few], 3))
    return (
        f"{len(few)} of {len(paths)} images are {kind} ({named}): the model takes colour crops, and may learn to tell "
        "classes by it; convert them, or remove them"
    )


def _shows_colour(image: Image) -> bool:
    if image.ndim == 2:
        return False
    blue, green, red = image[..., 0], image[..., 1], image[..., 2]
    return not (np.array_equal(blue, green) and np.array_equal(green, red))


def crops_of(images: Sequence[Image], spec: PreprocessSpec) -> NDArray[np.uint8]:
    """Return the model's crops of images that show one joint each, uint8 ``(n, height, width, channels)``."""
    crops = np.empty((len(images), *spec.shape), np.uint8)
    for image, crop in zip(images, crops, strict=True):
        crop[:] = crop_of_image(image, spec)
    return crops


def _left_out(
    root: Path, listed: Mapping[str, Listing], classes: Sequence[str], strict: bool
) -> tuple[LeftOut, ...]:
    files = [one for found in listed.values() for one in found.left_out]
    left_out = (*tally(root, [*files, *beside_splits(root, classes)]), *rows_left_out(root))
    if strict and left_out:
        raise DataError(
            f"{root}: {in_one_line(left_out)}",
            hint="move or convert these files, or switch off strict checking",
        )
    return left_out


def _samples(found: Listing, classes: tuple[str, ...]) -> tuple[Sample, ...]:
    return tuple(
        Sample(path, classes.index(name)) for name, paths in sorted(found.classes.items()) for path in paths
    )
