"""A fake engine, source, clock and inspector for tests of code that uses sji-edge; no model or camera is needed.

Example:
    A sink of your own, tested without hardware::

        from sji_edge.testing import FakeEngine, FakeInspector, FakeSource

        engine = FakeEngine(lambda crops: crops.mean(axis=(1, 2, 3)) / 255, crop_shape=(32, 32, 1))
        with FakeInspector(engine, recipe="boards/amplifier") as inspector:
            inspector.run(FakeSource([frame, None, frame]), sinks=[MySink()])   # None: an unreadable frame
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.errors import EngineInputError, EnvironmentMismatchError, SourceError, UsageError
from sji_edge.core.files import StrPath
from sji_edge.core.protocols import Engine, EngineOutput, EngineSpec, Frame
from sji_edge.core.verdict import Thresholds, logit
from sji_edge.inspection.judging.frame_job import Model
from sji_edge.inspection.judging.layout import ImageLayout, Layout, RecipeLayout
from sji_edge.recipe.board import Recipe
from sji_edge.runtime.onnx_graph import check_crops
from sji_edge.workflows.inspect.inspector import Inspector

START = "2025-01-31T08:09:10.123456+00:00"

Scores = Callable[[NDArray[np.uint8]], ArrayLike]


class FakeClock:
    """A clock whose time passes only in ``sleep`` and ``advance``, so that a test of a wait takes no time.

    Safe to use from several threads.

    Args:
        step_s: seconds that pass at each call of ``monotonic_ns``; 0 for none.
        start_utc: wall-clock time at the start, ISO 8601.

    Attributes:
        now_ns: the monotonic time in nanoseconds; starts at 0.
        waits: seconds of each ``sleep`` so far.
    """

    def __init__(self, *, step_s: float = 0.0, start_utc: str = START) -> None:
        self.now_ns = 0
        self.waits: list[float] = []
        self._step_ns = round(step_s * 1e9)
        self._start = datetime.fromisoformat(start_utc)
        self._lock = threading.Lock()

    def monotonic_ns(self) -> int:
        """The monotonic time in nanoseconds, after the step of this call."""
        with self._lock:
            self.now_ns += self._step_ns
            return self.now_ns

    def utc(self) -> str:
        """The start time plus the time passed since, ISO 8601 with microseconds."""
        passed = timedelta(microseconds=self.now_ns // 1000)
        return (self._start + passed).isoformat(timespec="microseconds")

    def sleep(self, seconds: float) -> None:
        """Let time pass without waiting, and note the wait."""
        self.waits.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self.now_ns += round(seconds * 1e9)


class FakeEngine:
    """An engine that answers with the scores of a function, and refuses what a real one refuses.

    Args:
        scores: from crops, uint8 ``(n, height, width, channels)``, to ``n`` defect scores in [0, 1], which are
            1 − p(good); or one score for every crop. NaN makes a logit that is not finite.
        novelty: the same for a guard, each 0 or more; None for an engine without a guard.
        crop_shape: ``(height, width, channels)`` of a crop.
        classes: number of classes; the score is shared among those that are not good.
        good_index: index of the good class.
        max_batch: largest batch that ``infer`` takes.
        fails_on: calls of ``infer`` that raise ``EnvironmentMismatchError``, counted from 1.
        stalls_on: calls of ``infer`` that do not return before ``release`` or ``close``, counted from 1.
        call_s: seconds that each call takes, of ``clock``.
        clock: waits for ``call_s``.

    Attributes:
        spec: as a real engine's, with the backend ``fake``.
        calls: number of calls of ``infer`` with crops that fit.
        batches: number of crops in each of them.
        prepared: batch sizes that ``prepare`` was called with.
        closed: whether ``close`` was called.

    Raises:
        UsageError: fewer than two classes, a good index beyond them, or a batch limit below 1.
    """

    def __init__(
        self,
        scores: Scores | float = 0.0,
        *,
        novelty: Scores | float | None = None,
        crop_shape: tuple[int, int, int] = (84, 84, 1),
        classes: int = 2,
        good_index: int = 0,
        max_batch: int = 64,
        fails_on: Collection[int] = (),
        stalls_on: Collection[int] = (),
        call_s: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        if classes < 2 or not 0 <= good_index < classes or max_batch < 1:
            raise UsageError(
                f"a fake engine needs 2 or more classes, a good index among them and a max batch of at least 1 "
                f"(got {classes}, {good_index}, {max_batch})"
            )
        self.spec = EngineSpec(crop_shape, classes, max_batch, "fake", "fp32", guarded=novelty is not None)
        self.batches: list[int] = []
        self.prepared: set[int] = set()
        self.closed = False
        self._scores = scores
        self._novelty = novelty
        self._good_index = good_index
        self._fails_on, self._stalls_on = frozenset(fails_on), frozenset(stalls_on)
        self._call_s = call_s
        self._clock = clock or SystemClock()
        self._released = threading.Event()

    @property
    def calls(self) -> int:
        """Number of calls of ``infer`` so far, failed ones included."""
        return len(self.batches)

    def prepare(self, batch_sizes: Iterable[int]) -> None:
        """Note batch sizes; raises ``EngineInputError`` for one outside 1 to ``spec.max_batch``."""
        for size in batch_sizes:
            if not 1 <= size <= self.spec.max_batch:
                raise EngineInputError(f"batch size must be 1 to {self.spec.max_batch} (got {size})")
            self.prepared.add(size)

    def infer(self, crops: NDArray[np.uint8]) -> EngineOutput:
        """Return logits whose softmax gives the scores, and the novelty of an engine with a guard.

        Raises:
            EngineInputError: crops of another shape, dtype or number than ``spec`` allows, or a closed engine.
            EnvironmentMismatchError: a call of ``fails_on``.
            UsageError: a function gave another number of values than there are crops.
        """
        if self.closed:
            raise EngineInputError("this engine is closed")
        check_crops(crops, self.spec)
        self.batches.append(len(crops))
        call = self.calls
        if self._call_s:
            self._clock.sleep(self._call_s)
        if call in self._stalls_on:
            self._released.wait()
        if call in self._fails_on:
            raise EnvironmentMismatchError(f"the fake engine fails on call {call}")
        logits = self._logits(_values(self._scores, crops, "score"))
        if self._novelty is None:
            return EngineOutput(logits)
        return EngineOutput(logits, _values(self._novelty, crops, "novelty").astype(np.float32))

    def release(self) -> None:
        """Let every stalled call return, now and later."""
        self._released.set()

    def close(self) -> None:
        """Refuse crops from now on, and let stalled calls return; a second call does nothing."""
        self.closed = True
        self.release()

    def _logits(self, scores: NDArray[np.float64]) -> NDArray[np.float32]:
        """Logits with 0 for the good class: the others share log(score / (1 - score))."""
        others = logit(scores) - np.log(self.spec.classes - 1)
        logits = np.repeat(others[:, None], self.spec.classes, axis=1)
        logits[:, self._good_index] = np.where(np.isnan(scores), np.nan, 0.0)
        return logits.astype(np.float32)


def _values(given: Scores | float, crops: NDArray[np.uint8], what: str) -> NDArray[np.float64]:
    """Call a function of the crops, or repeat a number; raises ``UsageError`` unless each crop gets one value."""
    values = np.asarray(given(crops) if callable(given) else np.full(len(crops), given), np.float64)
    if values.shape != (len(crops),):
        raise UsageError(
            f"the {what} function must return one value for each of the {len(crops)} crops (got shape {values.shape})"
        )
    return values


class FakeSource:
    """A stream of frames from arrays; like a real source, it can be lost and miss frames.

    Args:
        frames: uint8 arrays, grey ``(h, w)`` or BGR ``(h, w, 3)``; None for a frame that could not be read; or whole
            ``Frame`` objects, which are yielded unchanged (with ``repeat``, renumbered).
        clock: stamps each frame when it is requested.
        lost_after: number of frames after which the source is lost (``SourceError``); None for never.
        missed: number of frames that the device took but did not deliver, by the index of the frame that follows them.
        repeat: start again at the end; give the frames as a list then.
        free_running: frames arrive at their own pace, as from a camera; ``Inspector`` then drops frames when it falls
            behind.
        stored: frames come from storage, as files do, so they have no capture time.

    Attributes:
        closed: whether ``close`` was called.
    """

    def __init__(
        self,
        frames: Iterable[NDArray[np.uint8] | Frame | None],
        *,
        clock: Clock | None = None,
        lost_after: int | None = None,
        missed: Mapping[int, int] | None = None,
        repeat: bool = False,
        free_running: bool = False,
        stored: bool = False,
    ) -> None:
        self.free_running = free_running
        self.stored = stored
        self._frames = frames
        self._clock = clock or SystemClock()
        self._lost_after = lost_after
        self._missed = dict(missed or {})
        self._repeat = repeat
        self._closed = threading.Event()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed.is_set()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, named ``frame#000000`` and so on; raises ``SourceError`` when the source is lost."""
        index = 0
        while True:
            for item in self._frames:
                if self.closed:
                    return
                if index == self._lost_after:
                    break
                yield self._frame(index, item)
                index += 1
            if self._lost_after is not None and index >= self._lost_after:
                raise SourceError(f"the fake source is lost after {index} frames")
            if not self._repeat or index == 0:
                return

    def close(self) -> None:
        """End an iteration, in another thread too; a second call does nothing."""
        self._closed.set()

    def _frame(self, index: int, item: NDArray[np.uint8] | Frame | None) -> Frame:
        if isinstance(item, Frame):
            return replace(item, index=index) if self._repeat else item
        return Frame(
            index,
            f"frame#{index:06d}",
            self._clock.monotonic_ns(),
            item,
            "unreadable" if item is None else "",
            missed=self._missed.get(index, 0),
        )


class FakeInspector(Inspector):
    """An ``Inspector`` around any engine: it judges as the real one does, but has no bundle and proves nothing.

    Args:
        engine: such as a ``FakeEngine``; closed with the inspector.
        recipe: recipe folder, or a loaded recipe; None: each frame shows a single joint.
        classes: names of the engine's classes.
        good_index: index of the good class.
        thresholds: PASS below ``lower``, FAIL from ``upper`` on.
        clock: for captures, latencies and records.

    Raises:
        UsageError: the recipe cannot be used, or there is not one name for each class.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        recipe: StrPath | Recipe | None = None,
        classes: tuple[str, ...] = ("normal", "defective"),
        good_index: int = 0,
        thresholds: Thresholds | None = None,
        clock: Clock | None = None,
    ) -> None:
        if len(classes) != engine.spec.classes:
            raise UsageError(
                f"the engine has {engine.spec.classes} classes, but {len(classes)} names were given"
            )
        height, width, channels = engine.spec.crop_shape
        self._preprocess = PreprocessSpec(height=height, width=width, channels=channels)
        self._names, self._good_index = classes, good_index
        self._thresholds = thresholds or Thresholds(lower=0.4, upper=0.6)
        self._judge_with(
            engine,
            recipe if recipe is None or isinstance(recipe, Recipe) else Recipe.load(Path(recipe)),
            clock or SystemClock(),
        )

    def model(self) -> Model:
        """What a judge must know about the model; its hash is 64 zeros."""
        return Model(self._names, self._good_index, self._preprocess, "0" * 64)

    def _layout(self, recipe: Recipe | None, *, reference: bool = False) -> Layout:
        del reference
        if recipe is None:
            return ImageLayout(self._preprocess, self._thresholds)
        return RecipeLayout(recipe, self._preprocess, self._thresholds)
