"""Feeds frames to the engine, and gives it the next ones before it has answered the last."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sji_edge.core.errors import EngineInputError, EnvironmentMismatchError
from sji_edge.core.preprocess import Image, Matrix, crops_of_frame
from sji_edge.core.protocols import Engine, EngineOutput, FrameEngine, PipelinedEngine
from sji_edge.inspection.judging.frame_job import Features, Logits, Novelty, Work
from sji_edge.inspection.judging.layout import Placement

WARM_UP_RUNS = 2
MAX_GREY_LEVELS = 1
"""Largest difference of a sample between a crop of the device and one of the host: each rounds the same mean once."""


@dataclass(slots=True, eq=False)
class _Job:
    """Frames whose crops were submitted together: the answers for all of them, and the number of missing batches."""

    works: Sequence[Work]
    logits: Logits
    novelty: Novelty | None
    features: Features | None
    left: int


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """A submitted batch without an answer: rows ``start`` to ``stop`` of its job."""

    job: _Job
    start: int
    stop: int
    ticket: int


class _AtOnce:
    """Adapts an engine that answers each call at once to the interface of one that works ahead."""

    sets = 1

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._answer = EngineOutput(np.empty((0, 0), np.float32))

    def submit(self, crops: Image) -> int:
        self._answer = self._engine.infer(crops)
        return 0

    def collect(self, ticket: int) -> EngineOutput:
        del ticket
        return self._answer

    def drop(self, ticket: int) -> None:
        """Do nothing: no batch is ever pending."""


class EnginePath:
    """Keeps the engine busy: submits frames, and collects the answers in the order of submission.

    Args:
        engine: used by one thread at a time.
        on_device: pass whole frames to an engine that can cut the joints itself on this machine; others get crops.
    """

    def __init__(self, engine: Engine, *, on_device: bool = False) -> None:
        self._spec = engine.spec
        cuts = on_device and isinstance(engine, FrameEngine) and not engine.cut_failure
        self._frames: FrameEngine | None = engine if cuts else None  # type: ignore[assignment]
        self._whole = engine
        self._engine = engine if isinstance(engine, PipelinedEngine) else _AtOnce(engine)
        self._span = np.empty((engine.spec.max_batch, *engine.spec.crop_shape), np.uint8)
        self._under_way: deque[_Batch] = deque()
        self._shape: tuple[int, ...] = ()
        self._failure: BaseException | None = None

    @property
    def on_device(self) -> bool:
        """Whether the engine cuts the joints, so that the host has no crops."""
        return self._frames is not None

    @property
    def depth(self) -> int:
        """Number of batches or frames that the engine accepts before it must answer the first."""
        return self._engine.sets

    def one_at_a_time(self) -> None:
        """Ask the engine for each batch in this thread from now on, because its answer is awaited at once anyway.

        A batch that is handed to another thread costs a lone crop a quarter of its time.
        """
        if self._frames is None:
            self._engine = _AtOnce(self._whole)

    def begin(self, pixels: Image) -> int | None:
        """Start copying a frame to an engine that cuts, before its joints are located.

        Returns:
            A ticket for ``Work.ticket`` or ``drop``; None if there is nothing to gain: the host cuts, or the frame is
            not like those of the warm-up, for which the engine has room.
        """
        if self._frames is None or pixels.shape != self._shape or not pixels.flags.c_contiguous:
            return None
        self._make_room()
        return self._frames.begin_frame(pixels)

    def drop(self, ticket: int) -> None:
        """Give up a frame that was begun."""
        self._engine.drop(ticket)

    def submit(self, works: Sequence[Work]) -> None:
        """Submit frames; wait while the engine has no room.

        Raises:
            Exception: raised by the engine. All pending batches are then dropped, and their frames have no logits.
        """
        try:
            if self._frames is not None:
                for work in works:
                    self._submit_frame(self._frames, work)
            else:
                self._submit_crops(works)
        except BaseException as error:
            self._drop_all(error)
            raise

    def answer(self, works: Sequence[Work]) -> None:
        """Wait until each of these submitted frames has its logits.

        Raises:
            Exception: raised by the engine, here or in a later ``submit``, with the same consequences.
        """
        try:
            while any(work.logits is None for work in works):
                self._collect()
        except BaseException as error:
            self._drop_all(error)
            raise

    def warm_up(self, pixels: Image, placement: Placement) -> None:
        """Run a frame through every buffer set of an engine that cuts, and check the crops that it judged.

        The first run of a set allocates memory and records its graphs, the second replays them.

        Raises:
            EnvironmentMismatchError: the device cuts the joints differently from the host.
        """
        maps = _maps(placement)
        if self._frames is None or not len(maps):
            return
        pixels = np.ascontiguousarray(pixels)
        self._shape = pixels.shape
        wanted = np.empty((len(maps), *self._spec.crop_shape), np.uint8)
        crops_of_frame(pixels, maps, wanted)
        for _ in range(WARM_UP_RUNS * self.depth):
            cut = self._frames.cut_frame(pixels, maps)
            off = int(np.abs(cut.astype(np.int16) - wanted).max())
            if off > MAX_GREY_LEVELS:
                raise EnvironmentMismatchError(
                    f"the device cuts joints differently from the host: by {off} grey levels, limit {MAX_GREY_LEVELS}",
                    hint="choose an engine that runs on the CPU, and run scripts/gpu_check.sh on this machine",
                )

    def _submit_crops(self, works: Sequence[Work]) -> None:
        crops = works[0].crops if len(works) == 1 else self._spanned(works)
        limit = self._spec.max_batch
        starts = range(0, len(crops), limit)
        job = self._job(works, len(crops), len(starts))
        for start in starts:
            batch = crops[start : start + limit]
            self._make_room()
            self._under_way.append(_Batch(job, start, start + len(batch), self._engine.submit(batch)))

    def _submit_frame(self, engine: FrameEngine, work: Work) -> None:
        maps = _maps(work.placement)
        some = len(maps) > 0 and work.frame.pixels is not None
        job = self._job([work], len(maps) if some else 0, int(some))
        ticket, work.ticket = work.ticket, None
        if ticket is not None and not some:
            self.drop(ticket)
        elif ticket is not None:
            engine.submit_joints(ticket, maps)
            self._under_way.append(_Batch(job, 0, len(maps), ticket))
        elif some:
            self._make_room()
            pixels: Image = np.ascontiguousarray(work.frame.pixels)
            self._under_way.append(_Batch(job, 0, len(maps), engine.submit_frame(pixels, maps)))

    def _job(self, works: Sequence[Work], crops: int, batches: int) -> _Job:
        logits = np.empty((crops, self._spec.classes), np.float32)
        novelty = np.empty(crops, np.float32) if self._spec.guarded else None
        features = np.empty((crops, self._spec.features), np.float32) if self._spec.features else None
        job = _Job(works, logits, novelty, features, batches)
        for work in works:
            work.watch.begin()
        if not batches:
            self._deliver(job)
        return job

    def _spanned(self, works: Sequence[Work]) -> Image:
        count = sum(len(work.crops) for work in works)
        fits = count <= self._spec.max_batch
        crops: Image = self._span[:count] if fits else np.empty((count, *self._spec.crop_shape), np.uint8)
        if works:
            np.concatenate([work.crops for work in works], out=crops)
        return crops

    def _make_room(self) -> None:
        while len(self._under_way) >= self.depth:
            self._collect()

    def _collect(self) -> None:
        if not self._under_way:
            raise self._failure or EngineInputError("this frame was not submitted to the engine")
        batch = self._under_way.popleft()
        output = self._engine.collect(batch.ticket)
        self._check(output, batch.stop - batch.start)
        batch.job.logits[batch.start : batch.stop] = output.logits
        if batch.job.novelty is not None:
            batch.job.novelty[batch.start : batch.stop] = output.novelty
        if batch.job.features is not None:
            batch.job.features[batch.start : batch.stop] = output.features
        batch.job.left -= 1
        if batch.job.left:
            return
        self._deliver(batch.job)
        # The next job waited until now.
        for work in self._under_way[0].job.works if self._under_way else ():
            work.watch.begin()

    def _check(self, output: EngineOutput, crops: int) -> None:
        wanted = (crops, self._spec.classes)
        if output.logits.shape != wanted:
            raise EngineInputError(
                f"the engine returned logits of shape {output.logits.shape} instead of {wanted}"
            )
        if self._spec.guarded and (output.novelty is None or output.novelty.shape != (crops,)):
            found = "no novelty" if output.novelty is None else f"novelty of shape {output.novelty.shape}"
            raise EngineInputError(f"the engine has a guard but returned {found} instead of {(crops,)}")
        described = (crops, self._spec.features)
        if self._spec.features and (output.features is None or output.features.shape != described):
            found = "no features" if output.features is None else f"features of shape {output.features.shape}"
            raise EngineInputError(f"the engine returned {found} instead of {described}")

    def _deliver(self, job: _Job) -> None:
        start = 0
        for work in job.works:
            count = len(job.logits) if self.on_device else len(work.crops)
            if job.novelty is not None:
                work.novelty = job.novelty[start : start + count]
            if job.features is not None:
                work.features = job.features[start : start + count]
            work.logits = job.logits[start : start + count]
            start += count
            work.watch.lap("infer")

    def _drop_all(self, error: BaseException) -> None:
        """Release every buffer set after an error; the answers of the others are not trusted."""
        self._failure = error
        while self._under_way:
            self._engine.drop(self._under_way.popleft().ticket)


def _maps(placement: Placement | None) -> Matrix:
    if placement is None:
        return np.empty((0, 2, 3))
    return np.ascontiguousarray(placement.maps[placement.inside])
