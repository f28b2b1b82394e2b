"""Collects joints: aligns the frames of a stream, cuts every joint, and keeps those that are worth it in a pool."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import fspath
from pathlib import Path

from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.errors import UsageError
from sji_edge.core.files import StrPath
from sji_edge.core.protocols import BoardRecord
from sji_edge.data.duplicates import NEAR_BITS
from sji_edge.inspection.observe.tally import RunSummary
from sji_edge.inspection.outputs.disk_space import FreeSpace
from sji_edge.inspection.outputs.pool.keep_rules import WITH_ENGINE, WITHOUT_ENGINE, KeepRules
from sji_edge.inspection.outputs.pool.keeper import MARGIN, KeepCounts, PoolKeeper, PoolSettings
from sji_edge.inspection.settings import RunSettings
from sji_edge.pool.write import PoolWriter
from sji_edge.streams.spec import is_stored
from sji_edge.workflows.collect.engineless import EnginelessInspector
from sji_edge.workflows.inspect.inspector import Inspector
from sji_edge.workflows.inspect.pool import check_guard, product_of
from sji_edge.workflows.inspect.request import RESERVE_MB
from sji_edge.workflows.inspect.stream import require_complete


@dataclass(frozen=True)
class Collected:
    """The result of a collection.

    Attributes:
        pool: the pool's folder.
        summary: frames by cause; without an engine, its verdicts mean nothing.
        counts: what became of the joints.
        crops: how many crops the pool holds now.
        size: size of all its pictures, in bytes.
        stopped: whether the caller's ``stop`` ended the run.
    """

    pool: Path
    summary: RunSummary
    counts: KeepCounts
    crops: int
    size: int
    stopped: bool

    @property
    def full(self) -> bool:
        """Whether the quota ended the run."""
        return self.counts.over_quota > 0


def collect(
    stream: StrPath,
    recipe: StrPath | None,
    output: StrPath,
    *,
    engine: StrPath | None = None,
    keep: Sequence[str] = (),
    margin: float = MARGIN,
    quota_mb: float | None = None,
    keep_duplicates: bool = False,
    serial_from: str = "",
    max_frames: int | None = None,
    ignore_existing: bool = False,
    bit_depth: int | None = None,
    strict: bool = False,
    threads: int = 0,
    reserve_mb: float = RESERVE_MB,
    clock: Clock | None = None,
    on_frame: Callable[[BoardRecord, KeepCounts], object] = lambda *_: None,
    on_begin: Callable[[], object] = lambda: None,
    stop: Callable[[], bool] = lambda: False,
) -> Collected:
    """Collect joints of a stream in a pool. Run it again to continue: a frame that is in the pool adds nothing.

    Frames pass the same checks as in ``infer``. Frames that fail them, hidden joints and near duplicates of the same
    place are left out and counted.

    Args:
        stream: what ``--stream`` takes.
        recipe: recipe folder; None for a source that knows its own board.
        output: the pool's folder; created if it does not exist, otherwise added to.
        engine: engine folder; None collects without an engine.
        keep: which joints: ``all``, ``nth:N`` (of every n-th frame), ``random:SHARE``, and with an engine ``called``,
            ``uncertain:LOGITS`` (nearer to a threshold) and ``novel:NOVELTY`` (at least). A joint is kept if one rule
            selects it. Default: all without an engine; with one, called, uncertain and 2 % at random.
        margin: how much of a box's width and height to keep around it on each side.
        quota_mb: size limit of all pictures of the pool, in megabytes; the run ends when it is reached.
        keep_duplicates: keep near duplicates too.
        serial_from: where serial numbers come from instead of the board's code, as in ``Inspector.run``. Joints of one
            serial number stay together when the data is split.
        max_frames: stop after this number of frames.
        ignore_existing: skip the files that a watched folder already holds.
        bit_depth: bits that the samples of 16-bit images use.
        strict: refuse a source that leaves something out.
        threads: CPU threads of the engine; 0 lets the backend choose.
        reserve_mb: free space to leave on the disk, in megabytes; 0 switches the check off.
        clock: for captures; None for the machine's own.
        on_frame: called after each frame with its record and the counts so far.
        on_begin: called when the first frame is about to be taken.
        stop: polled throughout the run; once it returns True, the run ends.

    Returns:
        What was kept, what was not, and why.

    Raises:
        UsageError: a rule, the recipe or the source's name is wrong, or a rule needs an engine or a guard.
        SourceError: the source cannot be opened, was lost, or gave no frame.
        GateError: no frame could be aligned, or ``strict`` is set and something is left out.
        OutputError: the pool cannot be written, or the disk is full.
    """
    rules = KeepRules.parse(keep or (WITHOUT_ENGINE if engine is None else WITH_ENGINE))
    _check(rules, engine, margin, quota_mb)
    time = clock or SystemClock()
    settings = RunSettings(max_frames=max_frames, strict=strict)
    near_bits = -1 if keep_duplicates else NEAR_BITS
    kept = PoolSettings(rules, margin, None if quota_mb is None else int(quota_mb * 1e6), near_bits)
    with (
        _inspector(engine, recipe, time, bit_depth, threads) as inspector,
        inspector.open_stream(
            fspath(stream), settings, ignore_existing=ignore_existing, serial_from=serial_from
        ) as opened,
    ):
        check_guard(rules, opened)
        product = product_of(opened.recipe, fspath(stream))
        with PoolWriter(output) as pool:
            spec, stored = inspector.model().preprocess, is_stored(opened.source)
            keeper = PoolKeeper(pool, product, spec, kept, stored=stored)
            inspection = opened.inspection(
                (),
                stop=lambda: stop() or keeper.full,
                on_board=[keeper.keep, lambda _, judgement: on_frame(judgement.record, keeper.counts)],
                space=FreeSpace([Path(output)], int(reserve_mb * 1e6)),
            )
            on_begin()
            summary = inspection.run()
            require_complete(opened.source, strict)
            return Collected(Path(output), summary, keeper.counts, pool.crops, pool.size, stop())


def _inspector(
    engine: StrPath | None, recipe: StrPath | None, clock: Clock, bit_depth: int | None, threads: int
) -> Inspector:
    if engine is None:
        return EnginelessInspector(recipe, clock, bit_depth)
    return Inspector(engine, recipe=recipe, threads=threads, clock=clock, bit_depth=bit_depth)


def _check(rules: KeepRules, engine: StrPath | None, margin: float, quota_mb: float | None) -> None:
    if engine is None and rules.needs_engine:
        raise UsageError(
            f"only an engine can tell which joints are {' or '.join(rules.needs_engine)}",
            hint="name an engine, or keep all, nth:N or random:SHARE",
        )
    if not 0.0 <= margin <= 4.0:
        raise UsageError(f"the margin must be 0 to 4 times the box (got {margin:g})")
    if quota_mb is not None and not quota_mb > 0.0:
        raise UsageError(f"the quota must be above 0 MB (got {quota_mb:g})")
