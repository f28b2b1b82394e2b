"""Find what is wrong with a dataset before a model is trained on it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sji_edge.core.errors import DataError
from sji_edge.core.files import sha256_of
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import Image
from sji_edge.core.text import amount
from sji_edge.data.duplicates import difference_hashes, near_pairs, near_pairs_within
from sji_edge.data.folder import FolderDataset, Sample, mixed_colour
from sji_edge.data.groups import NO_GROUP, groups_of
from sji_edge.data.shortcut import WARN_AUC, shortcut_auc, shortcut_features

MIN_CLASS = 10
MAX_LISTED = 5
JPEG_FOUR_CHANNELS = 4


class Finding(FrozenModel):
    """One fault of a dataset.

    Attributes:
        kind: short name of the fault, such as ``leak``.
        serious: it spoils training or the proof that it worked; a strict audit fails on it.
        text: the fault in one line.
        files: the files it concerns, relative to the dataset.
    """

    kind: str
    serious: bool
    text: str
    files: tuple[str, ...] = ()


class Audit(FrozenModel):
    """What an audit found; true when no finding is serious.

    Attributes:
        images: number of images in all splits.
        classes: number of images by split and class.
        shortcuts: how well a label is predicted without looking at the solder: AUC in [0, 1] by what it is predicted
            from; None where there are too few joints.
        findings: the faults.
    """

    images: int
    classes: dict[str, dict[str, int]]
    shortcuts: dict[str, float | None]
    findings: tuple[Finding, ...]

    def __bool__(self) -> bool:
        return not any(finding.serious for finding in self.findings)


def audit(dataset: FolderDataset) -> Audit:
    """Look at every image of a dataset.

    Args:
        dataset: opened with the splits to look at, and with the bit depth where it is known.

    Raises:
        DataError: ``labels.csv`` cannot be read.
        MissingExtraError: scikit-learn is not installed.
    """
    images, unreadable = _read(dataset)
    readable = {
        split: [sample for sample in dataset.split(split) if sample.path in images]
        for split in dataset.splits
    }
    shortcuts = _shortcuts(dataset, readable.get("train", []), images)
    findings = [
        *_left_out(dataset),
        *unreadable,
        *_exact_copies(dataset, readable),
        *_near_copies(dataset, readable, images),
        *_torn_groups(dataset),
        *_small_classes(dataset),
        *_odd_samples(dataset, readable),
        *_mixed_colour(readable.get("train", []), images),
        *_told_by(shortcuts),
    ]
    return Audit(
        images=sum(len(samples) for samples in dataset.splits.values()),
        classes={
            split: {
                name: sum(sample.label == index for sample in samples)
                for index, name in enumerate(dataset.classes)
            }
            for split, samples in dataset.splits.items()
        },
        shortcuts=shortcuts,
        findings=tuple(findings),
    )


def short_audit(dataset: FolderDataset) -> tuple[Finding, ...]:
    """Find what needs no decoding: files left out, exact copies across splits, torn groups, small classes."""
    every = {split: list(samples) for split, samples in dataset.splits.items()}
    return (
        *_left_out(dataset),
        *_exact_copies(dataset, every),
        *_torn_groups(dataset),
        *_small_classes(dataset),
    )


def _left_out(dataset: FolderDataset) -> list[Finding]:
    """Report each kind of file, and each row of labels.csv, that the dataset does not use."""
    return [
        Finding(kind="left out", serious=True, text=one.counted, files=one.examples)
        for one in dataset.left_out
    ]


def _mixed_colour(samples: Sequence[Sample], images: dict[Path, Image]) -> list[Finding]:
    paths = [sample.path for sample in samples]
    text = mixed_colour(paths, [images[path] for path in paths])
    return [Finding(kind="mixed colour", serious=True, text=text)] if text else []


def _read(dataset: FolderDataset) -> tuple[dict[Path, Image], list[Finding]]:
    images: dict[Path, Image] = {}
    faults: list[tuple[str, str]] = []
    for samples in dataset.splits.values():
        for sample in samples:
            try:
                # Without a declared depth a dark image is still looked at; _odd_samples reports it.
                images[sample.path] = read_image(sample.path, bit_depth=dataset.bit_depth or 16)
            except DataError as error:
                faults.append((_name(dataset, sample), error.message))
    if not faults:
        return images, []
    text = f"{amount(len(faults), 'file')} cannot be read: {faults[0][1]}"
    return images, [
        Finding(kind="unreadable", serious=True, text=text, files=tuple(name for name, _ in faults))
    ]


def _exact_copies(dataset: FolderDataset, readable: dict[str, list[Sample]]) -> list[Finding]:
    places: dict[str, list[tuple[str, Sample]]] = {}
    for split, samples in readable.items():
        for sample in samples:
            places.setdefault(sha256_of(sample.path), []).append((split, sample))
    copies = [found for found in places.values() if len(found) > 1]
    findings = []
    for kind, chosen, serious, text in (
        (
            "label conflict",
            [found for found in copies if len({sample.label for _, sample in found}) > 1],
            True,
            "images are in two classes",
        ),
        (
            "leak",
            [found for found in copies if len({split for split, _ in found}) > 1],
            True,
            "images are in two splits: the model is measured on what it was trained on",
        ),
        (
            "duplicate",
            [found for found in copies if len({split for split, _ in found}) == 1],
            False,
            "images are in one split twice and are counted twice",
        ),
    ):
        if chosen:
            files = tuple(_name(dataset, sample) for found in chosen for _, sample in found)
            findings.append(Finding(kind=kind, serious=serious, text=f"{len(chosen)} {text}", files=files))
    return findings


def _near_copies(
    dataset: FolderDataset, readable: dict[str, list[Sample]], images: dict[Path, Image]
) -> list[Finding]:
    hashes = {
        split: difference_hashes([images[sample.path] for sample in samples])
        for split, samples in readable.items()
    }
    across: list[tuple[Sample, Sample]] = []
    within = 0
    splits = list(readable)
    for number, one in enumerate(splits):
        within += sum(
            _differ(readable[one][a], readable[one][b]) for a, b, _ in near_pairs_within(hashes[one])
        )
        for other in splits[number + 1 :]:
            pairs = near_pairs(hashes[one], hashes[other])
            across += [(readable[one][a], readable[other][b]) for a, b, _ in pairs]
    across = [pair for pair in across if _differ(*pair)]
    findings = []
    if across:
        files = tuple(_name(dataset, sample) for pair in across for sample in pair)
        text = f"{len(across)} pairs of nearly identical images are in two splits"
        findings.append(Finding(kind="near leak", serious=True, text=text, files=files))
    if within:
        text = f"{within} pairs of nearly identical images are in one split and are counted twice"
        findings.append(Finding(kind="near duplicate", serious=False, text=text))
    return findings


def _differ(one: Sample, other: Sample) -> bool:
    """Tell near copies from exact ones, which have their own finding."""
    return sha256_of(one.path) != sha256_of(other.path)


def _torn_groups(dataset: FolderDataset) -> list[Finding]:
    places: dict[str, set[str]] = {}
    for split, samples in dataset.splits.items():
        for group in groups_of(dataset.root, samples):
            if group != NO_GROUP:
                places.setdefault(group, set()).add(split)
    torn = sorted(group for group, splits in places.items() if len(splits) > 1)
    if not torn:
        return []
    listed = ", ".join(torn[:MAX_LISTED]) + (" …" if len(torn) > MAX_LISTED else "")
    are = "is" if len(torn) == 1 else "are"
    text = f"{amount(len(torn), 'group')} of labels.csv {are} in two splits: {listed}"
    return [Finding(kind="torn group", serious=True, text=text)]


def _small_classes(dataset: FolderDataset) -> list[Finding]:
    findings = []
    for split, samples in dataset.splits.items():
        counts = Counter(dataset.classes[sample.label] for sample in samples)
        small = [f"{name} ({counts[name]})" for name in dataset.classes if counts[name] < MIN_CLASS]
        if small:
            text = f"{split} has fewer than {MIN_CLASS} joints of the class {', '.join(small)}: rates mean little"
            findings.append(Finding(kind="small class", serious=False, text=text))
    return findings


def _odd_samples(dataset: FolderDataset, readable: dict[str, list[Sample]]) -> list[Finding]:
    """Find files whose samples are not 8 bits of grey or BGR."""
    kinds: dict[str, list[str]] = {}
    depths: Counter[str] = Counter()
    for samples in readable.values():
        for sample in samples:
            data = np.fromfile(sample.path, np.uint8)
            raw = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
            if raw is None:
                continue
            depths["16 bit" if raw.dtype == np.uint16 else "8 bit"] += 1
            if dataset.bit_depth is None and raw.dtype == np.uint16 and int(raw.max()) < 1 << 13:
                dark = "16-bit files that use 13 bits or fewer: they look black unless the bit depth is given"
                kinds.setdefault(dark, []).append(_name(dataset, sample))
            if raw.ndim == 3 and raw.shape[2] == 4:
                kinds.setdefault("files with transparency, which is dropped", []).append(
                    _name(dataset, sample)
                )
            if _is_cmyk(data):
                kinds.setdefault("CMYK files, whose colours depend on an unknown profile", []).append(
                    _name(dataset, sample)
                )
    findings = [
        Finding(kind="odd samples", serious="black" in kind, text=f"{len(files)} {kind}", files=tuple(files))
        for kind, files in kinds.items()
    ]
    if len(depths) > 1:
        text = f"bit depths are mixed: {', '.join(f'{count} of {name}' for name, count in depths.items())}"
        findings.append(Finding(kind="odd samples", serious=False, text=text))
    return findings


def _is_cmyk(data: np.ndarray) -> bool:
    """Tell from the start-of-frame marker whether a JPEG holds four components."""
    content = data.tobytes()
    if not content.startswith(b"\xff\xd8"):
        return False
    place = 2
    while place + 9 < len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return content[place + 9] == JPEG_FOUR_CHANNELS
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return False


def _shortcuts(
    dataset: FolderDataset, samples: Sequence[Sample], images: dict[Path, Image]
) -> dict[str, float | None]:
    if not samples:
        return {}
    groups = groups_of(dataset.root, samples)
    own = [
        group if group != NO_GROUP else str(sample.path)
        for group, sample in zip(groups, samples, strict=True)
    ]
    is_defect = np.array([dataset.classes[sample.label] != dataset.good_class for sample in samples])
    features = shortcut_features(
        [images[sample.path] for sample in samples], [sample.path for sample in samples]
    )
    features["all three"] = np.column_stack(list(features.values()))
    return {name: shortcut_auc(values, is_defect, own) for name, values in features.items()}


def _told_by(shortcuts: dict[str, float | None]) -> list[Finding]:
    return [
        Finding(
            kind="shortcut",
            serious=True,
            text=f"{name} alone predicts the label with AUC {auc:.3f}: a model may learn that instead of the solder; "
            "sji-edge evaluate --stress shows whether its verdicts depend on it",
        )
        for name, auc in shortcuts.items()
        if auc is not None and auc > WARN_AUC
    ]


def _name(dataset: FolderDataset, sample: Sample) -> str:
    return str(sample.path.relative_to(dataset.root))
