"""Challenges the deployed engine with a new model, on joints that people answered."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.errors import DataError, UsageError
from sji_edge.core.files import StrPath, check_writable_file, write_json
from sji_edge.core.text import amount
from sji_edge.core.trust import Trust
from sji_edge.evaluation.challenge import Outcome, PairedJoints, compare_paired, in_words
from sji_edge.workflows.artifacts import released_engine
from sji_edge.workflows.challenge.install import Installed, check_installable, install
from sji_edge.workflows.challenge.joints import LabelledJoints, read_labelled, verdicts_of
from sji_edge.workflows.compare.subjects import OpenSide, is_bundle, open_side


@dataclass(frozen=True)
class Challenge:
    """The result of a challenge; true when the new model may replace the deployed one.

    Attributes:
        new: name of the new model.
        old: name of the deployed engine.
        version: hash of the dataset.
        outcome: the counts, and why the challenge failed.
        words: what would change on the line, in sentences.
        notes: what limits the result, in sentences.
        trust: what a passed challenge does.
        installed: where the engine is installed; None if it is not.
    """

    new: str
    old: str
    version: str
    outcome: Outcome
    words: tuple[str, ...]
    notes: tuple[str, ...]
    trust: Trust
    installed: Installed | None

    def __bool__(self) -> bool:
        return bool(self.outcome)

    def as_json(self) -> dict[str, object]:
        """Return every figure for a JSON file."""
        outcome = self.outcome
        changes = {
            name: {**asdict(change), "p_worse": change.p_worse, "interval": list(change.interval)}
            for name, change in (
                ("calls", outcome.calls),
                ("fails", outcome.fails),
                ("escapes", outcome.escapes),
            )
        }
        return {
            "new": self.new,
            "old": self.old,
            "dataset_sha256": self.version,
            "passed": bool(self),
            "failures": list(outcome.failures),
            **changes,
            "defects": outcome.defects,
            "newly_missed": list(outcome.newly_missed),
            "newly_caught": list(outcome.newly_caught),
            "words": list(self.words),
            "notes": list(self.notes),
            "trust": self.trust.value,
            "installed": None if self.installed is None else str(self.installed.folder),
        }


def challenge(
    new: StrPath,
    data: StrPath,
    against: StrPath | None = None,
    *,
    split: str = "test",
    bit_depth: int | None = None,
    joints_per_board: int | None = None,
    defect_share: float | None = None,
    trust: Trust | str = Trust.SHOW_ONLY,
    accept: bool = False,
    engines: StrPath = "engines",
    threads: int = 0,
    json_file: StrPath | None = None,
    clock: Clock | None = None,
    progress: Callable[[str], object] = lambda _: None,
) -> Challenge:
    """Compare a new model with the deployed engine on the same joints, and install it if it passes and may be.

    It passes if no defect that people ever confirmed, in any split, is passed by it and called by the deployed engine;
    if no more held-out defects are passed; and if not significantly more good held-out joints are called (exact
    one-sided McNemar test, 5 %). A call is every verdict but PASS. Each model decides by its own limits and guard;
    limits of single joints in a recipe and enrolled boards do not count here.

    Joints that are in a pool because an engine called or doubted them count only as confirmed defects: chosen by their
    verdict, they would speak for or against that engine.

    Args:
        new: an engine, a run or a ``model.onnx``; only an engine can be installed.
        data: dataset folder, best one of ``build_dataset``.
        against: the deployed engine; None: the one that ``infer`` takes from ``engines``.
        split: the split that neither model learned from.
        bit_depth: bits that the samples of 16-bit images use.
        joints_per_board: for the sentences; None: as many places as the dataset has of its largest board.
        defect_share: share of the line's joints that are defects, for the sentences; None: that of the dataset.
        trust: what a passed challenge does, see ``Trust``.
        accept: a person accepts the result, for ``semi-automatic``.
        engines: folder of all engines, into which the new one is installed.
        threads: CPU threads; 0 lets the backend choose.
        json_file: file for every figure; replaced if it exists.
        clock: for the note about an installation.
        progress: receives each step in words.

    Returns:
        The counts, the sentences, and where the engine was installed.

    Raises:
        UsageError: a setting is wrong, both are the same model, or the new one could not be installed.
        DataError: the dataset cannot be read, or its classes do not fit.
        BundleError: an engine is altered or cannot run here.
        OutputError: the JSON file or the engine cannot be written.
    """
    level = _level(trust, accept)
    if not Path(new).exists():
        raise UsageError(f"the new model {new} does not exist", hint="name an engine, a run or a model.onnx")
    deployed = released_engine(None if against is None else Path(against), Path(engines)).folder
    if level is not Trust.SHOW_ONLY and (accept or level is Trust.AUTOMATIC):
        _check_bundle(Path(new), level)
        check_installable(Path(new), Path(engines))
    if json_file is not None:
        check_writable_file(Path(json_file))
    with ExitStack() as stack:
        progress(f"opening {new} and {deployed}")
        one = stack.enter_context(open_side(Path(new), threads))
        other = stack.enter_context(open_side(deployed, threads))
        _check_pair(one, other)
        progress(f"reading {data}")
        joints = read_labelled(Path(data), split, one.card.good_class, bit_depth)
        progress(f"judging {len(joints.names)} joints")
        paired = PairedJoints(
            joints.names,
            joints.is_defect,
            # What an engine called or doubted says nothing fair of engines.
            joints.held_out & joints.by_chance,
            verdicts_of(one, joints),
            verdicts_of(other, joints),
        )
    outcome = compare_paired(paired)
    share = joints.defect_share if defect_share is None else defect_share
    result = Challenge(
        new=one.name,
        old=other.name,
        version=joints.version,
        outcome=outcome,
        words=in_words(outcome, joints_per_board or joints.joints_per_board, share),
        notes=(*_notes(one, other, joints, defect_share is None), *_left_out(joints)),
        trust=level,
        installed=None,
    )
    if outcome and (level is Trust.AUTOMATIC or (level is Trust.SEMI_AUTOMATIC and accept)):
        why = {
            "utc": (clock or SystemClock()).utc(),
            "engine_sha256": one.sha256,
            "against": other.name,
            "against_sha256": other.sha256,
            "dataset_sha256": joints.version,
            "trust": level.value,
        }
        result = replace(result, installed=install(Path(new), Path(engines), why))
    if json_file is not None:
        write_json(Path(json_file), result.as_json())
    return result


def _level(trust: Trust | str, accept: bool) -> Trust:
    try:
        level = Trust(trust)
    except ValueError:
        raise UsageError(f"trust must be one of {', '.join(Trust)} (got {trust!r})") from None
    if accept and level is Trust.SHOW_ONLY:
        raise UsageError(
            "nothing is installed at the trust level show-only",
            hint='pass --trust semi-automatic, or set trust = "semi-automatic" in sji-edge.toml',
        )
    return level


def _check_bundle(new: Path, level: Trust) -> None:
    if not is_bundle(new):
        raise UsageError(
            f"{new} is not an engine, so a {level} challenge cannot install it",
            hint="build an engine of the run, into a folder of candidates, and challenge with that",
        )


def _check_pair(new: OpenSide, old: OpenSide) -> None:
    if new.sha256 == old.sha256:
        raise UsageError(
            f"{new.path} and {old.path} are the same model", hint="name the deployed engine to compare with"
        )
    if new.card.good_class != old.card.good_class:
        raise DataError(
            f"{new.name} calls the good class {new.card.good_class!r}, {old.name} calls it {old.card.good_class!r}"
        )


def _notes(new: OpenSide, old: OpenSide, joints: LabelledJoints, from_dataset: bool) -> tuple[str, ...]:
    notes = [
        f"{side.name} was trained on another dataset ({side.card.dataset_sha256[:12]}, not {joints.version[:12]}): the "
        "held-out joints are new to it only if it was built of the same answers with the same seed, or has none of "
        "these joints"
        for side in (new, old)
        if side.card.dataset_sha256 != joints.version
    ]
    if from_dataset:
        notes.append(
            f"the sentences take the dataset's share of defects, {joints.defect_share:.1%}, for the line's; name the "
            "line's own share if it is another"
        )
    return tuple(notes)


def _left_out(joints: LabelledJoints) -> tuple[str, ...]:
    chosen = int((joints.held_out & ~joints.by_chance).sum())
    if not chosen:
        return ()
    return (
        f"{amount(chosen, 'held-out joint')} that an engine called, doubted or found novel do not count in the rates, "
        "because they were chosen by their verdict; their defects count as confirmed",
    )
