"""Says what differs between two built datasets, joint by joint."""

from dataclasses import dataclass
from pathlib import Path

from sji_edge.core.files import StrPath
from sji_edge.data.built import DatasetRow, read_dataset_card, read_rows


@dataclass(frozen=True, slots=True)
class Change:
    """A joint that is in both datasets, but not alike."""

    before: DatasetRow
    after: DatasetRow


@dataclass(frozen=True)
class DatasetDiff:
    """What differs; false where nothing does.

    Attributes:
        versions: of both datasets.
        added: joints that only the second one has.
        removed: joints that only the first one has.
        relabelled: joints whose class or kind of defect changed.
        moved: joints that changed their split.
        settings: settings that differ, each in words.
    """

    versions: tuple[str, str]
    added: tuple[DatasetRow, ...]
    removed: tuple[DatasetRow, ...]
    relabelled: tuple[Change, ...]
    moved: tuple[Change, ...]
    settings: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.versions[0] != self.versions[1] or bool(
            self.added or self.removed or self.relabelled or self.moved or self.settings
        )


def diff_datasets(before: StrPath, after: StrPath) -> DatasetDiff:
    """Compare two datasets that ``build_dataset`` made.

    Args:
        before: folder of the first.
        after: folder of the second.

    Raises:
        DataError: one is no built dataset, or is damaged.
    """
    one, other = read_dataset_card(Path(before)), read_dataset_card(Path(after))
    old = {row.joint: row for row in read_rows(Path(before))}
    new = {row.joint: row for row in read_rows(Path(after))}
    both = [Change(old[joint], new[joint]) for joint in sorted(old.keys() & new.keys())]
    return DatasetDiff(
        versions=(one.version, other.version),
        added=tuple(new[joint] for joint in sorted(new.keys() - old.keys())),
        removed=tuple(old[joint] for joint in sorted(old.keys() - new.keys())),
        relabelled=tuple(
            change
            for change in both
            if (change.before.label, change.before.state) != (change.after.label, change.after.state)
        ),
        moved=tuple(change for change in both if change.before.split != change.after.split),
        settings=tuple(
            f"{name}: {getattr(one, name)} → {getattr(other, name)}"
            for name in ("good_class", "defect_class", "seed", "validation", "test", "margin")
            if getattr(one, name) != getattr(other, name)
        ),
    )
