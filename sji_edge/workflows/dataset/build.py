"""Builds a dataset: people's answers, the pictures of pools, and splits that stay what they are."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from sji_edge.core import run_files
from sji_edge.core.errors import DataError, GateError, OutputError, UsageError
from sji_edge.core.files import (
    StrPath,
    check_new_folder,
    new_folder,
    output_errors,
    sha256_of,
    write_atomic,
    write_json,
)
from sji_edge.core.images.read import read_image
from sji_edge.core.text import amount, readable
from sji_edge.data.built import (
    DatasetCard,
    DatasetRow,
    LeftOutJoint,
    read_dataset_card,
    read_rows,
    table_text,
)
from sji_edge.data.folder import FolderDataset
from sji_edge.pool.cutting import box_of
from sji_edge.workflows.dataset.answers import GOOD, Answered, Picture, gather
from sji_edge.workflows.dataset.splits import SplitRule, check_splits

NO_STATES = ("conflict", "escalated")
MAX_NAME = 100


@dataclass(frozen=True)
class BuiltDataset:
    """A dataset that was built; usable wherever its folder is."""

    folder: Path
    card: DatasetCard

    def __fspath__(self) -> str:
        return str(self.folder)


@dataclass(frozen=True, slots=True)
class _Chosen:
    answered: Answered
    label: str
    state: str
    group: str


def build_dataset(
    pools: Sequence[StrPath],
    output: StrPath,
    *,
    records: Sequence[StrPath] = (),
    good_class: str = "normal",
    defect_class: str = "defective",
    exclude: Sequence[str] = (),
    margin: float = 0.0,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    like: StrPath | None = None,
    strict: bool = False,
    progress: Callable[[str], object] = lambda _: None,
) -> BuiltDataset:
    """Build a dataset from what people answered: ``OUTPUT/SPLIT/CLASS/JOINT.png`` with ``labels.csv``.

    A joint's split follows from its board and unit alone, so it never changes when joints are added. A joint of which
    people say different things is left out and listed, and so is one without a picture in any of the pools.

    Args:
        pools: folders of pools, with the labels of their crops.
        output: the folder to create.
        records: databases in which the calls of a line were verified; the pictures of their joints must be in the pools
            (``infer --pool``).
        good_class: name of the class without a defect.
        defect_class: name of the class of all defects; empty makes one class of each kind.
        exclude: labels whose joints are left out.
        margin: how much of a box's size to add on each side, as far as the pool's pictures reach.
        validation: share of the groups for validation.
        test: share of the groups for the test; 0 for no test split.
        seed: seed of the split; keep it for later builds.
        like: an earlier dataset whose classes, shares, seed and margin are taken over; no joint of it may change split.
        strict: raise an error if a joint that somebody called a defect is left out.
        progress: receives each step in words.

    Returns:
        The dataset's folder and its card with the version, counts and what is left out.

    Raises:
        UsageError: a setting is wrong, or a pool or a database cannot be read.
        DataError: nobody answered, or a split would lack a class.
        GateError: ``strict`` is set and a defect is left out.
        OutputError: the folder exists, or cannot be written.
    """
    target = Path(output)
    check_new_folder(target)
    rule = SplitRule(seed, validation, test)
    if like is not None:
        before = read_dataset_card(Path(like))
        rule = SplitRule(before.seed, before.validation, before.test)
        good_class, margin = before.good_class, before.margin
        defect_class = before.defect_class
    rule.check()
    if not good_class or good_class == defect_class:
        raise UsageError(
            f"the good class needs a name that no other class has (got {good_class!r})",
            hint="for example normal, beside defective",
        )
    if not 0.0 <= margin <= 4.0:
        raise UsageError(f"the margin must be 0 to 4 times the box (got {margin:g})")
    progress("reading the answers")
    answered = gather([Path(pool) for pool in pools], [Path(one) for one in records], good_class)
    chosen, left_out = _choose(answered, good_class, defect_class, frozenset(exclude))
    progress(f"checking the pictures of {amount(len(chosen), 'joint')}")
    chosen, damaged = _with_whole_pictures(chosen)
    left_out = [*left_out, *damaged]
    if not chosen:
        raise DataError(
            f"no joint is left to build a dataset from: {amount(len(answered), 'joint')} answered, "
            f"{amount(len(left_out), 'joint')} left out",
            hint="label some joints with sji-edge review",
        )
    lost = [one for one in left_out if one.defect and one.why != "excluded"]
    if strict and lost:
        raise GateError(
            f"{amount(len(lost), 'joint')} that somebody called a defect would be left out, the first: "
            f"{lost[0].joint} ({lost[0].why})",
            hint="settle conflicts as an engineer, and name the pools that have the pictures",
        )
    _check_names({one.label for one in chosen})
    _check_products(chosen)
    check_splits(rule, [(one.group, one.label) for one in chosen])
    if like is not None:
        _check_moved(Path(like), chosen, rule)
    card = DatasetCard(
        version="",
        good_class=good_class,
        defect_class=defect_class,
        classes=(good_class, *sorted({one.label for one in chosen} - {good_class})),
        seed=rule.seed,
        validation=rule.validation,
        test=rule.test,
        margin=margin,
        joints=_counts(chosen, rule),
        left_out=tuple(left_out),
    )
    progress(f"writing {target}")
    return BuiltDataset(target, _write(target, chosen, rule, card))


def _choose(
    answered: Sequence[Answered], good_class: str, defect_class: str, exclude: frozenset[str]
) -> tuple[list[_Chosen], list[LeftOutJoint]]:
    chosen, left_out = [], []
    for one in answered:
        state = one.verdict(kinds_matter=not defect_class)
        why = state if state in NO_STATES else "excluded" if _excluded(state, good_class, exclude) else ""
        if not why and one.picture is None:
            why = "no picture"
        if why or one.picture is None:
            left_out.append(_left_out(one, why))
            continue
        state = good_class if state == GOOD else state
        origin = one.picture.crop.origin
        label = state if state == good_class else defect_class or state
        group = hashlib.sha256(
            f"{origin.board}/{origin.unit}".encode("utf-8", "surrogateescape")
        ).hexdigest()[:12]
        chosen.append(_Chosen(one, label, state, group))
    return chosen, left_out


def _excluded(state: str, good_class: str, exclude: frozenset[str]) -> bool:
    return (good_class if state == GOOD else state) in exclude


def _left_out(one: Answered, why: str) -> LeftOutJoint:
    return LeftOutJoint(joint=one.where, why=why, said=one.said, defect=one.has_defect)


def _with_whole_pictures(chosen: Sequence[_Chosen]) -> tuple[list[_Chosen], list[LeftOutJoint]]:
    """Separate joints whose picture is not what was written into the pool."""
    whole, damaged = [], []
    for one in chosen:
        picture = _picture(one)
        if picture.path.is_file() and sha256_of(picture.path) == picture.crop.sha256:
            whole.append(one)
        else:
            damaged.append(_left_out(one.answered, "damaged picture"))
    return whole, damaged


def _picture(one: _Chosen) -> Picture:
    if one.answered.picture is None:
        raise ValueError(f"{one.answered.joint} was chosen without a picture")
    return one.answered.picture


def _check_names(classes: Collection[str]) -> None:
    """Refuse classes that are no plain folder names: they come from databases."""
    for name in sorted(classes):
        if (
            name.startswith(".")
            or readable(name) != name
            or not {"/", "\\"}.isdisjoint(name)
            or len(name) > MAX_NAME
        ):
            raise DataError(
                f"{readable(name[:MAX_NAME])!r} cannot be the folder of a class",
                hint="leave this label out, or make one class of all defects",
            )


def _check_products(chosen: Sequence[_Chosen]) -> None:
    """Refuse a joint of one frame that stands under two boards: each could land in a split of its own."""
    found: dict[tuple[str, str], _Chosen] = {}
    for one in chosen:
        crop = _picture(one).crop
        other = found.setdefault((crop.origin.frame_sha256, crop.refdes), one)
        if other is not one:
            raise DataError(
                f"{crop.refdes} of the same frame is in the pools twice, as {other.answered.where} and as "
                f"{one.answered.where}; its two copies could land in different splits",
                hint="leave out the pool that was collected with the copied or renamed recipe",
            )


def _check_moved(before: Path, chosen: Sequence[_Chosen], rule: SplitRule) -> None:
    """Refuse a build in which a joint of an earlier dataset changes its split, as after a change of unit names."""
    was = {row.joint: row.split for row in read_rows(before)}
    moved = [one for one in chosen if was.get(one.answered.joint, rule.of(one.group)) != rule.of(one.group)]
    if moved:
        raise DataError(
            f"{amount(len(moved), 'joint')} of {before} would change split, the first: {moved[0].answered.where}",
            hint="collect with the same recipe name and serial numbers as before",
        )


def _counts(chosen: Sequence[_Chosen], rule: SplitRule) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {split: Counter() for split in rule.splits}
    for one in chosen:
        counts[rule.of(one.group)][one.label] += 1
    return {split: dict(sorted(found.items())) for split, found in counts.items()}


def _write(target: Path, chosen: Sequence[_Chosen], rule: SplitRule, card: DatasetCard) -> DatasetCard:
    with new_folder(target) as partial, output_errors(target):
        rows = [_write_joint(partial, one, rule, card.margin) for one in chosen]
        rows.sort(key=lambda row: row.file)
        write_atomic(partial / run_files.LABELS, table_text(rows))
        built = FolderDataset.open(partial, card.good_class, rule.splits)
        whole = card.model_copy(update={"version": built.sha256()})
        write_json(partial / run_files.DATASET, whole.model_dump(mode="json"))
    return whole


def _write_joint(folder: Path, one: _Chosen, rule: SplitRule, margin: float) -> DatasetRow:
    picture, split = _picture(one), rule.of(one.group)
    crop = picture.crop
    done, encoded = cv2.imencode(".png", box_of(read_image(picture.path), crop.box, margin))
    if not done:
        raise OutputError(f"cannot encode {picture.path} as PNG")
    file = f"{split}/{one.label}/{one.answered.joint}.png"
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(encoded.tobytes())
    return DatasetRow(
        file=file,
        split=split,
        label=one.label,
        state=one.state,
        package=crop.package,
        group=one.group,
        board=crop.origin.board,
        unit=crop.origin.unit,
        refdes=crop.refdes,
        captured=crop.origin.captured,
        joint=one.answered.joint,
        answers=len(one.answered.rows),
        kept_because=one.answered.kept_because,
    )
