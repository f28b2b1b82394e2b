"""Makes benchmark subjects of engine bundles, and records the conditions that their figures depend on."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from sji_edge.benchmark.alternate import Predict
from sji_edge.benchmark.footprint import peak_rss_of
from sji_edge.benchmark.report import Subject, SubjectFacts
from sji_edge.runtime.bundle.bundle import Bundle, backend_of, open_engine
from sji_edge.runtime.host_cpu import cpu_facts

BUSY_LOAD = 0.5
"""Load average per core above which the machine counts as busy."""


def engine_subject(bundle: Bundle, name: str, *, memory_batch: int = 0, memory_threads: int = 1) -> Subject:
    """Make a benchmark subject of a bundle; it judges the bundle's golden crops.

    Args:
        bundle: an opened bundle, released or not.
        name: its name in the report.
        memory_batch: batch size for measuring peak memory in its own process; 0: memory is not measured.
        memory_threads: number of threads for measuring peak memory.
    """
    manifest = bundle.manifest
    peak = None
    if memory_batch:
        words = (str(bundle.folder), str(min(memory_batch, manifest.max_batch)), str(memory_threads))
        peak = peak_rss_of("sji_edge.benchmark.footprint:judge_once", *words)
    facts = SubjectFacts(
        name=name,
        backend=manifest.backend,
        precision=manifest.precision,
        file_bytes=manifest.files[manifest.engine_file].size,
        sha256=bundle.engine_sha256,
        released=manifest.released,
        peak_rss_bytes=peak,
    )

    @contextmanager
    def opened(threads: int, batches: Sequence[int]) -> Iterator[Predict]:
        engine = open_engine(bundle, threads)
        try:
            engine.prepare(batches)
            yield engine.infer
        finally:
            engine.close()

    return Subject(facts, manifest.max_batch, bundle.golden().crops, opened)


def names_of(folders: Sequence[Path]) -> list[str]:
    """Return short names for bundles: the folder's name, preceded by its parent's if two are equal."""
    plain = [folder.resolve().name for folder in folders]
    return [
        name if plain.count(name) == 1 else f"{folder.resolve().parent.name}/{name}"
        for folder, name in zip(folders, plain, strict=True)
    ]


def conditions(bundles: Sequence[Bundle]) -> dict[str, str]:
    """Return what the figures depend on: versions, CPU, cores and load."""
    found = {"sji-edge": version("sji-edge"), **cpu_facts()}
    for bundle in bundles:
        found |= dict(backend_of(bundle.manifest).environment())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return found | {"cores": str(cores), "load_average": f"{os.getloadavg()[0]:.2f}"}


def busy(environment: dict[str, str]) -> str:
    """Say that the machine was busy before the first call, or return an empty string."""
    load, cores = float(environment["load_average"]), int(environment["cores"])
    if load <= BUSY_LOAD * cores:
        return ""
    return f"load average was {load:.1f} on {cores} cores at the start; other programs disturb these figures"
