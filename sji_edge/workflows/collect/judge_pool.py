"""Lets an engine look at the crops of a pool that it has not judged, so that they can be ordered by its doubt."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.errors import DataError
from sji_edge.core.files import StrPath
from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import Image, crop_of_image
from sji_edge.core.protocols import Engine, JointRecord
from sji_edge.core.verdict import ERROR, VERDICTS, decide, defect_scores, stopped_by_guard
from sji_edge.inspection.faults import Cause
from sji_edge.pool.cutting import box_of
from sji_edge.pool.read import PoolReader
from sji_edge.pool.rows import Crop, Judged
from sji_edge.pool.write import PoolWriter
from sji_edge.runtime.bundle.bundle import Bundle, open_engine
from sji_edge.workflows.engines.open import choose_bundle

BATCH = 64


@dataclass(frozen=True)
class JudgedPool:
    """What an engine found in a pool.

    Attributes:
        engine: its name.
        judged: crops that it judged now.
        before: crops that it had judged already.
        damaged: files that could not be read.
        verdicts: crops that were judged now, by verdict.
    """

    engine: str
    judged: int
    before: int
    damaged: tuple[str, ...]
    verdicts: dict[str, int]


def judge_pool(
    pool: StrPath,
    engine: StrPath | None = None,
    *,
    engines: StrPath = "engines",
    threads: int = 0,
    clock: Clock | None = None,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> JudgedPool:
    """Judge the crops of a pool at which an engine has not looked, by its own limits and guard.

    The box is cut on whole pixels, so a score may differ slightly from the one of ``infer`` on the frame. Limits of
    single joints in a recipe and enrolled boards do not count. Run it again to continue.

    Args:
        pool: the pool's folder.
        engine: engine folder; None: the newest released engine in ``engines``.
        engines: folder of all engines.
        threads: CPU threads; 0 lets the backend choose.
        clock: for the time of each judgement.
        progress: called with the number of crops so far and of all.

    Raises:
        UsageError: there is no pool, or no engine is released.
        BundleError: the engine is altered or cannot run here.
        OutputError: the pool cannot be written.
    """
    bundle = choose_bundle(None if engine is None else Path(engine), engines=Path(engines)).bundle
    time = clock or SystemClock()
    verdicts = dict.fromkeys((verdict.value for verdict in VERDICTS), 0)
    damaged: list[str] = []
    with (
        PoolReader(pool, bundle.engine_sha256) as reader,
        PoolWriter(pool) as writer,
        closing(open_engine(bundle, threads)) as opened,
    ):
        whole, before, done = reader.count(), 0, 0
        after: int | None = None
        while page := reader.page(order="oldest", after=after, limit=BATCH):
            after, done = page[-1].id, done + len(page)
            fresh = [crop for crop in page if crop.judged is None]
            before += len(page) - len(fresh)
            seen = [(crop, image) for crop in fresh if (image := _box(reader, crop, damaged)) is not None]
            found = _judge(opened, bundle, [image for _, image in seen])
            writer.judge_all(
                [(crop.id, (one,)) for (crop, _), one in zip(seen, found, strict=True)], time.utc()
            )
            for one in found:
                verdicts[one.verdict] += 1
            progress(done, whole)
    return JudgedPool(bundle.manifest.name, sum(verdicts.values()), before, tuple(damaged), verdicts)


def _box(reader: PoolReader, crop: Crop, damaged: list[str]) -> Image | None:
    try:
        return box_of(read_image(reader.picture(crop)), crop.box)
    except DataError:
        damaged.append(crop.file)
        return None


def _judge(engine: Engine, bundle: Bundle, images: Sequence[Image]) -> list[Judged]:
    if not images:
        return []
    card, limits = bundle.card, bundle.thresholds
    crops = np.stack([crop_of_image(image, bundle.preprocess) for image in images])
    batch = engine.spec.max_batch
    outputs = [engine.infer(crops[start : start + batch]) for start in range(0, len(crops), batch)]
    logits = np.concatenate([output.logits for output in outputs])
    strange = [output.novelty for output in outputs if output.novelty is not None]
    novelty = np.concatenate(strange) if strange else None
    described = [output.features for output in outputs if output.features is not None]
    features = np.concatenate(described) if described else None
    scores = defect_scores(logits, card.good_index)
    codes = decide(scores, limits, novelty)
    stopped = stopped_by_guard(codes, scores, np.float64(limits.lower))
    return [
        Judged.of(
            JointRecord(
                refdes="",
                verdict=VERDICTS[code],
                score=None if code == ERROR else float(scores[index]),
                lower=limits.lower,
                upper=limits.upper,
                label="" if code == ERROR else card.classes[int(logits[index].argmax())],
                cause=Cause.NOT_FINITE if code == ERROR else Cause.UNLIKE_TRAINING if stopped[index] else "",
                novelty=None if novelty is None or code == ERROR else float(novelty[index]),
                novelty_limit=limits.novelty,
            ),
            bundle.engine_sha256,
            None if features is None else features[index],
        )
        for index, code in enumerate(codes.tolist())
    ]
