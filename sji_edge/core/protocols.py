"""Types shared by all packages: engines, frames, records, and the protocols of what produces and consumes them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.clock import Clock
from sji_edge.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What an engine takes and returns: crops of ``crop_shape`` (height, width, channels), logits of ``classes``.

    ``guarded`` says whether it has a guard, that is, whether it also returns the novelty of each crop; ``features`` is
    how many features of a crop it returns, 0 for none.
    """

    crop_shape: tuple[int, int, int]
    classes: int
    max_batch: int
    backend: str
    precision: str
    guarded: bool = False
    features: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class EngineOutput:
    """What an engine returns for a batch; the caller owns the arrays.

    Attributes:
        logits: float32 ``(n, classes)``.
        novelty: float32 ``(n,)``, how unlike everything that was learned each crop is; 1.0 is as unusual as 1 good
            validation view in 100. None from an engine without a guard.
        features: float32 ``(n, spec.features)``, a short description of each crop, by which it is compared with other
            boards' crops of the same place. None from an engine without them.
    """

    logits: NDArray[np.float32]
    novelty: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None


class Engine(Protocol):
    """A loaded model, ready to judge crops. Not thread-safe: one thread uses it at a time."""

    @property
    def spec(self) -> EngineSpec:
        """Crop shape, classes and batch limit."""

    def infer(self, crops: NDArray[np.uint8]) -> EngineOutput:
        """Judge crops.

        Args:
            crops: uint8 ``(n, height, width, channels)``, C-contiguous, 1 ≤ n ≤ ``spec.max_batch``.

        Returns:
            The logits; the novelty of each crop if ``spec.guarded``; and its features if ``spec.features``.

        Raises:
            EngineInputError: another shape, dtype or batch size.
            EnvironmentMismatchError: the runtime or the device failed; the next batch may succeed.
        """

    def prepare(self, batch_sizes: Iterable[int]) -> None:
        """Warm up for these batch sizes, so that later calls of ``infer`` with them are not slower.

        Raises:
            EngineInputError: a size outside 1 to ``spec.max_batch``.
        """

    def close(self) -> None:
        """Free the device's memory; a second call does nothing."""


@runtime_checkable
class PipelinedEngine(Engine, Protocol):
    """An engine that accepts the next batch while it works on the last; answers come in the order of submission."""

    @property
    def sets(self) -> int:
        """Number of batches or frames that may be in flight at once."""

    def submit(self, crops: NDArray[np.uint8]) -> int:
        """Start a batch and return a ticket for ``collect``; the caller may reuse the crops at once.

        Raises:
            EngineInputError: as ``infer``, or ``sets`` batches are in flight already.
        """

    def collect(self, ticket: int) -> EngineOutput:
        """Wait for the answer to a batch or frame, as ``infer`` returns it.

        Raises:
            EngineInputError: no batch or frame of that ticket is in flight.
            EnvironmentMismatchError: as ``infer``; the slot is free again.
        """

    def drop(self, ticket: int) -> None:
        """Discard a batch or frame in flight; never raises."""


@runtime_checkable
class FrameEngine(PipelinedEngine, Protocol):
    """An engine that cuts the joints on its device: the frame is copied there once, and crops never leave it."""

    @property
    def cut_failure(self) -> str:
        """Why the device cannot cut, so that the host must; empty if it can."""

    def begin_frame(self, frame: NDArray[np.uint8]) -> int:
        """Start copying a frame to the device, before its joints are located; return a ticket.

        Pass the ticket to ``submit_joints`` or ``drop``. The caller may reuse the frame at once.

        Raises:
            EngineInputError: as ``submit_frame``.
        """

    def submit_joints(self, ticket: int, maps: NDArray[np.float64]) -> None:
        """Start judging the joints of a frame that was begun; pass its ticket to ``collect``.

        Raises:
            EngineInputError: as ``submit_frame``, or no frame of this ticket was begun; the ticket is then free.
        """

    def submit_frame(self, frame: NDArray[np.uint8], maps: NDArray[np.float64]) -> int:
        """Start a frame and return a ticket for ``collect``.

        Args:
            frame: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``, C-contiguous.
            maps: float64 ``(n, 2, 3)``, from crop to frame pixels, 1 ≤ n ≤ ``spec.max_batch``.

        Raises:
            EngineInputError: wrong shape or dtype, or ``sets`` frames are in flight already.
        """

    def cut_frame(self, frame: NDArray[np.uint8], maps: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Judge a frame as ``submit_frame`` does, and return the crops that the device judged.

        Args:
            frame: as ``submit_frame``.
            maps: as ``submit_frame``.

        Returns:
            uint8 ``(n, height, width, channels)``, the caller's to keep.

        Raises:
            EngineInputError: as ``submit_frame``.
            EnvironmentMismatchError: as ``infer``.
        """


@runtime_checkable
class NotingEngine(Protocol):
    """An engine that knows what makes it slower than it could be."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What works, but not as it should, each in words; empty if nothing is wrong."""


class Backend(Protocol):
    """Builds and opens engine files of one kind; ``suffix`` is their file suffix, dot included."""

    name: str
    suffix: str

    def build(self, graph: Path, engine_file: Path, *, precision: str, max_batch: int) -> Mapping[str, Any]:
        """Build an engine file from an ONNX graph; return facts for the bundle's manifest."""

    def open(
        self,
        engine_file: Path,
        *,
        precision: str,
        max_batch: int,
        threads: int,
        content: bytes | None = None,
    ) -> Engine:
        """Load an engine.

        Args:
            engine_file: the engine file.
            precision: the engine's precision.
            max_batch: largest batch that the engine will be given.
            threads: number of CPU threads; with 0 the backend chooses it.
            content: the file's bytes if the caller has verified them; the backend must load these and must not read
                the file again. None: the backend reads the file, once.
        """

    def environment(self) -> Mapping[str, str]:
        """Return the versions and the device that an engine file of this backend depends on."""

    def incompatibility(self, precision: str, recorded: Mapping[str, str]) -> str:
        """Return why an engine file cannot run on this machine, or an empty string if it can.

        Args:
            precision: the engine's precision.
            recorded: ``environment()`` of the machine that built it.

        Raises:
            UsageError: the backend does not support the precision.
        """


@dataclass(frozen=True, slots=True)
class Frame:
    """One camera image.

    ``pixels`` is uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``; ``captured_ns`` is the monotonic clock at
    capture. A frame with ``pixels`` None and an ``error`` could not be read; with ``away`` as well, the source was
    lost. ``missed`` is the number of frames that the device took since the last one but did not deliver.
    """

    index: int
    name: str
    captured_ns: int
    pixels: NDArray[np.uint8] | None
    error: str = ""
    away: bool = False
    missed: int = 0


class FrameSource(Protocol):
    """A stream of frames: iterate over it, then close it.

    Two optional attributes change how frames are judged: ``free_running`` (True for a camera that delivers frames
    whether or not they are taken: the default policy is then ``latest``) and ``stored`` (True for files: they have no
    capture time, so their age is not checked).
    """

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the stream ends; raises ``SourceError`` when it is lost."""

    def close(self) -> None:
        """Release the device and end an iteration in another thread; a second call does nothing."""


class SourceKind(Protocol):
    """What a name of ``SOURCES`` or of the entry-point group ``sji_edge.sources`` refers to: opens one kind of source.

    The name is the scheme of the stream: ``acme://line1?gain=2`` calls ``open("line1", {"gain": "2"}, ...)`` of
    the entry ``acme``. A class with a class method ``open`` qualifies.
    """

    def open(
        self, target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> FrameSource:
        """Open a source.

        Args:
            target: what follows ``scheme://``, without the options; may hold a password.
            options: what follows the question mark, by name.
            clock: stamps each frame (``Frame.captured_ns``).
            colour: False asks for grey frames.
            skip: files that are no frames, such as the recipe's golden image.

        Raises:
            UsageError: an unknown option or a wrong value.
            SourceError: the source does not exist or cannot be opened.
        """


@runtime_checkable
class OwnRecipe(Protocol):
    """A source that knows the board it shows, and can write the recipe for it."""

    def write_recipe(self, folder: Path) -> None:
        """Write the board's recipe into ``folder``, which must not exist yet."""


@dataclass(frozen=True, slots=True)
class JointRecord:
    """One joint's verdict. ``score`` is 1 − p(good) in [0, 1], or None when there is no trustworthy answer.

    ``novelty`` says how unlike everything that was learned the joint is; from ``novelty_limit`` on, a joint whose score
    says PASS is REVIEW with the cause ``unlike-training``. Both are None where the engine has no guard, and ``novelty``
    also where the verdict is ERROR.

    ``deviation`` says how far the joint's features lie from those of the same place on the recipe's enrolled boards, as
    a share of the largest deviation that is usual there; from 1 on, a joint whose score says PASS is REVIEW with the
    cause ``unlike-golden``. None where the recipe has no enrolled boards.
    """

    refdes: str
    verdict: Verdict
    score: float | None
    lower: float
    upper: float
    label: str = ""
    cause: str = ""
    novelty: float | None = None
    novelty_limit: float | None = None
    deviation: float | None = None


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """One unit of a panel: its verdict, which is that of its worst joint, and its serial number.

    ``verdict`` is None for a unit that is marked to be skipped. ``cause`` says why a unit is ERROR, or that it has no
    serial number. ``retest`` is how many earlier boards on record have the same serial number.
    """

    name: str
    verdict: Verdict | None
    serial: str = ""
    cause: str = ""
    retest: int = 0


@dataclass(frozen=True, slots=True)
class BoardRecord:
    """One frame's verdict with its joints; ``latency_ns`` has one entry for each stage, in nanoseconds.

    ``serial`` is the board's serial number, or the panel's; empty where it is unknown. ``retest`` is how many earlier
    boards on record have it. ``product`` and ``recipe_version`` are what the recipe calls itself. ``units`` are the
    units of a panel, empty for a single board.

    The loop passes joints as a ``core.joint_table.JointTable``; any sequence will do.
    """

    board: str
    frame_index: int
    frame_name: str
    utc: str
    verdict: Verdict
    joints: Sequence[JointRecord]
    engine_sha256: str
    recipe_sha256: str
    cause: str = ""
    alignment_residual_px: float | None = None
    latency_ns: Mapping[str, int] = field(default_factory=dict)
    serial: str = ""
    retest: int = 0
    product: str = ""
    recipe_version: str = ""
    units: tuple[UnitRecord, ...] = ()


@runtime_checkable
class SerialMemory(Protocol):
    """A sink that knows which serial numbers are on record."""

    def times_seen(self, serial: str) -> int:
        """Return the number of boards on record with this serial number."""


class Sink(Protocol):
    """Takes board records and stores them.

    ``infer --sink NAME`` calls what the entry point NAME of the group ``sji_edge.sinks`` refers to with one path,
    ``OUTPUT/RUN.NAME``; a sink that writes no file ignores it.
    """

    def write(self, record: BoardRecord) -> None:
        """Store one board with all its joints; on failure raise ``OutputError`` and store nothing of it."""

    def close(self) -> None:
        """Flush and release the file; a second call does nothing."""
