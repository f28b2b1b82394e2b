"""The types in which the packages meet: engines, frames, records, and who makes or takes them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What an engine takes and gives: ``(height, width, channels)`` crops, and logits per class."""

    crop_shape: tuple[int, int, int]
    classes: int
    max_batch: int
    backend: str
    precision: str


class Engine(Protocol):
    """A loaded model, ready to judge crops. One owner at a time; not thread-safe."""

    @property
    def spec(self) -> EngineSpec:
        """What it takes and gives."""

    def infer(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Judge crops.

        Args:
            crops: uint8 ``(n, height, width, channels)``, C-contiguous, 1 ≤ n ≤ ``spec.max_batch``.

        Returns:
            float32 logits ``(n, classes)``, the caller's to keep.

        Raises:
            EngineInputError: another shape, dtype or batch size.
            EnvironmentMismatchError: the runtime or the device failed; a batch after it may succeed.
        """

    def prepare(self, batch_sizes: Iterable[int]) -> None:
        """Get ready for these batch sizes, so that no later ``infer`` of one of them stops to do so.

        Raises:
            EngineInputError: a size outside 1 to ``spec.max_batch``.
        """

    def close(self) -> None:
        """Give back the device's memory; a second call does nothing."""


@runtime_checkable
class PipelinedEngine(Engine, Protocol):
    """An engine that takes the next batch while it works on the last; answers come in the order of submission."""

    @property
    def sets(self) -> int:
        """How many batches or frames may be under way at once."""

    def submit(self, crops: NDArray[np.uint8]) -> int:
        """Start on a batch; returns a ticket for ``collect``. The crops are the caller's again at once.

        Raises:
            EngineInputError: as ``infer``, or ``sets`` batches are under way already.
        """

    def collect(self, ticket: int) -> NDArray[np.float32]:
        """Wait for a batch's or frame's logits, float32 ``(n, classes)``, the caller's to keep.

        Raises:
            EngineInputError: nothing of that ticket is under way.
            EnvironmentMismatchError: as ``infer``; the set is free then, and nothing works on it any more.
        """

    def drop(self, ticket: int) -> None:
        """Give up what is under way; never raises."""


@runtime_checkable
class FrameEngine(PipelinedEngine, Protocol):
    """An engine that cuts a frame's joints on its device: the frame goes there once, the crops never leave it."""

    def submit_frame(self, frame: NDArray[np.uint8], maps: NDArray[np.float64]) -> int:
        """Start on a frame; returns a ticket for ``collect``.

        Args:
            frame: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``, C-contiguous.
            maps: float64 ``(n, 2, 3)``, from crop to frame pixels, 1 ≤ n ≤ ``spec.max_batch``.

        Raises:
            EngineInputError: what does not fit, or ``sets`` frames are under way already.
        """


class Backend(Protocol):
    """Makes and opens engine files of one kind; ``suffix`` is theirs, dot included."""

    name: str
    suffix: str

    def build(self, graph: Path, engine_file: Path, *, precision: str, max_batch: int) -> Mapping[str, Any]:
        """Turn an ONNX graph into an engine file; returns facts for the bundle's manifest."""

    def open(self, engine_file: Path, *, precision: str, max_batch: int, threads: int) -> Engine:
        """Load an engine file; ``threads`` 0 leaves the choice to the backend."""

    def environment(self) -> Mapping[str, str]:
        """Versions and device that an engine file of this backend depends on."""

    def incompatibility(self, precision: str, recorded: Mapping[str, str]) -> str:
        """Say why an engine file cannot run here, or return an empty text.

        Args:
            precision: the engine's precision.
            recorded: ``environment()`` of the machine that built it.

        Raises:
            UsageError: the backend knows no such precision.
        """


@dataclass(frozen=True, slots=True)
class Frame:
    """One camera image.

    ``pixels`` is uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``; ``captured_ns`` is the monotonic clock at
    capture. ``pixels`` None with an ``error`` stands for a frame that could not be read, or, with ``away``,
    for one that a lost source could not give. ``missed`` counts the frames that the device took since the
    one before and that never came here, by its own numbering.
    """

    index: int
    name: str
    captured_ns: int
    pixels: NDArray[np.uint8] | None
    error: str = ""
    away: bool = False
    missed: int = 0


class FrameSource(Protocol):
    """A stream of frames: iterate, then close."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the stream ends; raises ``SourceError`` when it is lost."""

    def close(self) -> None:
        """Let go of the device, and end an iteration in another thread; a second call does nothing."""


@runtime_checkable
class OwnRecipe(Protocol):
    """What a source also is that knows the board it shows."""

    def write_recipe(self, folder: Path) -> None:
        """Write the board's recipe into a folder, made here."""


@dataclass(frozen=True, slots=True)
class JointRecord:
    """One joint's verdict. ``score`` is 1 − p(good), or None when there is no trustworthy answer."""

    refdes: str
    verdict: Verdict
    score: float | None
    lower: float
    upper: float
    label: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class BoardRecord:
    """One frame's verdict with its joints; ``latency_ns`` holds one entry a stage."""

    board: str
    frame_index: int
    frame_name: str
    utc: str
    verdict: Verdict
    joints: tuple[JointRecord, ...]
    engine_sha256: str
    recipe_sha256: str
    cause: str = ""
    alignment_residual_px: float | None = None
    latency_ns: Mapping[str, int] = field(default_factory=dict)


class Sink(Protocol):
    """Where board records go."""

    def write(self, record: BoardRecord) -> None:
        """Record one board with all its joints, or raise ``OutputError`` having recorded none of it."""

    def close(self) -> None:
        """Flush and let go; a second call does nothing."""
