"""The request, the events and the result of a run of ``infer``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sji_edge.core import run_files

if TYPE_CHECKING:
    # The command reads the defaults below before anything heavy is imported.
    from sji_edge.core.left_out import LeftOut
    from sji_edge.core.protocols import BoardRecord
    from sji_edge.core.verdict import Thresholds
    from sji_edge.inspection.judging.places import Places
    from sji_edge.inspection.observe.rival import RivalReport
    from sji_edge.inspection.observe.shadow import ShadowReport
    from sji_edge.inspection.observe.tally import RunSummary
    from sji_edge.inspection.outputs.pool.keeper import KeepCounts
    from sji_edge.inspection.settings import RunSettings
    from sji_edge.recipe.board import Recipe
    from sji_edge.workflows.engines.golden_check import GoldenReplay
    from sji_edge.workflows.engines.open import ChosenBundle

    Figures = Callable[[], tuple[RunSummary, ShadowReport | None]]

RESERVE_MB = 100.0
"""Free space that a run leaves on every disk it writes to."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Everything that defines a run.

    Attributes:
        stream: what the user wrote for the source; see ``streams.spec``.
        settings: how the loop treats frames.
        output: folder of the records; created if it does not exist.
        engine: engine folder; None for the newest released one. Or one that is already chosen and verified.
        engines: folder that holds all engines.
        recipe: recipe folder; None if each image shows a single joint.
        require_signature: public key that must have signed the engine; None accepts an unsigned one.
        replay_golden: check the engine against its golden crops before the first board.
        ignore_existing: skip the files that a watched folder already holds.
        bit_depth: bits that the samples of 16-bit images use, 9 to 16; None if nobody declared it.
        serial_from: ``name:PATTERN`` or ``scanner:PATH``, which tells serial numbers instead of the board's code.
        threads: CPU threads of the engine; 0 lets the backend choose.
        metrics_port: port for Prometheus metrics; 0 for any free port, None for no metrics.
        save_images: folder for a picture of each judged board; None for no pictures.
        save_boards: folder for the boards that did not pass, and some that did, without anything painted on them: the
            review station shows them; None for none.
        save_crops: folder for the crops of joints that did not pass; None for no crops.
        pool: pool for the joints that ``keep`` selects; None for no pool. Needs a recipe.
        keep: rules for the pool, see ``collect``.
        shadow_engine: second engine that judges the same boards and decides nothing; joints that exactly one of the two
            calls are kept in the pool. None for none.
        quota_mb: size limit of each of these folders, in megabytes; a pool that has reached it keeps no more. None
            for no limit.
        csv: also write a CSV table.
        sinks: further sinks by their registered names; each is opened with the path ``OUTPUT/RUN.NAME``.
        rotate_mb: size at which a new JSONL file is started, in megabytes; 0 for never.
        reserve_mb: the run ends when a disk has less free space than this, in megabytes; 0 switches the check off.
    """

    stream: str
    settings: RunSettings
    output: Path
    engine: Path | ChosenBundle | None = None
    engines: Path = Path("engines")
    recipe: Path | None = None
    require_signature: Path | None = None
    replay_golden: bool = False
    ignore_existing: bool = False
    bit_depth: int | None = None
    serial_from: str = ""
    threads: int = 0
    metrics_port: int | None = None
    save_images: Path | None = None
    save_boards: Path | None = None
    save_crops: Path | None = None
    pool: Path | None = None
    keep: tuple[str, ...] = ("called",)
    shadow_engine: Path | None = None
    quota_mb: float | None = None
    csv: bool = False
    sinks: tuple[str, ...] = ()
    rotate_mb: float = 0.0
    reserve_mb: float = RESERVE_MB


@dataclass(frozen=True)
class EngineFacts:
    """The engine that judges.

    Attributes:
        name: of the bundle.
        backend: such as ``openvino``.
        precision: such as ``int8``.
        sha256: hash of the engine file, as it is written into every record.
        thresholds: PASS below ``lower``, FAIL from ``upper`` on.
        why: why this engine was chosen, in words.
        changes: what differs between this machine and the one on which the engine was validated.
    """

    name: str
    backend: str
    precision: str
    sha256: str
    thresholds: Thresholds
    why: str
    changes: tuple[str, ...]


@dataclass(frozen=True)
class RunPaths:
    """Where a run writes its records. Names sort by the start of the run."""

    run: str
    output: Path

    @property
    def database(self) -> Path:
        """The SQLite database, shared by all runs of the folder."""
        return self.output / run_files.DATABASE

    @property
    def lines(self) -> Path:
        """The run's JSONL file."""
        return self.output / f"{self.run}.jsonl"

    @property
    def table(self) -> Path:
        """The run's CSV table."""
        return self.output / f"{self.run}.csv"

    @property
    def shadow(self) -> Path:
        """The run's list of verdicts that differ from the reference's."""
        return self.output / f"{self.run}.shadow.jsonl"


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes:
        summary: counts and latencies.
        shadow: how the engine and its reference agreed; None without a shadow.
        engine: the engine that judged.
        paths: where the records are.
        stopped: whether the caller's ``stop`` ended the run.
        kept: what became of the joints that a pool could have kept; None without a pool.
        rival: how a second engine compares; None without one.
    """

    summary: RunSummary
    shadow: ShadowReport | None
    engine: EngineFacts
    paths: RunPaths
    stopped: bool
    kept: KeepCounts | None = None
    rival: RivalReport | None = None


class RunListener:
    """Is notified of the events of a run; every method does nothing unless it is overridden.

    ``board`` and ``warned`` are called from the loop, in the caller's thread: they must not wait for anything.
    """

    def engine_opened(self, engine: EngineFacts) -> None:
        """The engine is loaded."""

    def places_learned(self, recipe: Recipe, places: Places | None) -> None:
        """The recipe is read, and what is usual at its joints' places is known; None without enrolled boards."""

    def stream_opened(self, left_out: tuple[LeftOut, ...]) -> None:
        """The source is open; it does not read what ``left_out`` counts."""

    def golden_replayed(self, replay: GoldenReplay) -> None:
        """The engine decided as PyTorch did on its golden crops."""

    def metrics_served(self, url: str) -> None:
        """Metrics can be read at this address."""

    def begun(self, figures: Figures) -> None:
        """The loop starts now. ``figures`` returns the counts so far and may be called from any thread."""

    def board(self, record: BoardRecord) -> None:
        """A board is on record."""

    def warned(self, text: str) -> None:
        """Something is wrong that does not end the run."""

    def ended(self, result: RunResult) -> None:
        """The loop is over, whether it ended well or raised an error."""
