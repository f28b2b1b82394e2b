"""Opens an engine bundle, an ONNX graph or a run as something that judges crops."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core import run_files
from sji_edge.core.card import ModelCard
from sji_edge.core.errors import UsageError
from sji_edge.core.extras import require
from sji_edge.core.files import sha256_of
from sji_edge.core.protocols import Engine, EngineOutput, EngineSpec
from sji_edge.core.verdict import Thresholds
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.bundle.bundle import Bundle, open_bundle, open_engine
from sji_edge.runtime.bundle.manifest import GOLDEN, MANIFEST, REFERENCE
from sji_edge.runtime.onnx_graph import check_crops
from sji_edge.runtime.onnxruntime import card_in_graph

MAX_BATCH = 64


@dataclass(frozen=True)
class OpenSide:
    """A model that is open and ready to judge.

    Attributes:
        name: its name.
        kind: ``engine``, ``ONNX`` or ``PyTorch``.
        path: the bundle, the graph or the run.
        engine: judges crops; closed with the context that opened it.
        card: classes and preprocessing.
        thresholds: the limits that it is deployed with.
        graph: its ONNX graph, for bisection; None where there is none.
        golden: the file of its golden crops, which may not exist.
        sha256: hash of the engine file, the graph or the weights.
    """

    name: str
    kind: str
    path: Path
    engine: Engine
    card: ModelCard
    thresholds: Thresholds
    graph: Path | None
    golden: Path
    sha256: str


class RunEngine:
    """A run as an engine: PyTorch in FP32, eager mode, on the CPU."""

    def __init__(self, predict: Callable[[NDArray[np.uint8]], EngineOutput], card: ModelCard) -> None:
        # What one blank crop is given tells whether there is a guard.
        blank = predict(np.zeros((1, *card.preprocess.shape), np.uint8))
        self.spec = EngineSpec(
            card.preprocess.shape,
            len(card.classes),
            MAX_BATCH,
            "pytorch",
            "fp32",
            guarded=blank.novelty is not None,
            features=0 if blank.features is None else blank.features.shape[1],
        )
        self._predict = predict

    def infer(self, crops: NDArray[np.uint8]) -> EngineOutput:
        """Judge crops as ``core.protocols.Engine`` does."""
        check_crops(crops, self.spec)
        return self._predict(crops)

    def prepare(self, batch_sizes: Iterable[int]) -> None:
        """Do nothing: eager mode takes any batch size."""

    def close(self) -> None:
        """Do nothing: Python frees the model."""


def is_bundle(path: Path) -> bool:
    """Tell whether a path is an engine bundle."""
    return (path / MANIFEST).exists()


@contextmanager
def open_side(path: Path, threads: int = 0) -> Iterator[OpenSide]:
    """Open an engine bundle, a run or a graph. PyTorch is imported for a run only.

    Args:
        path: an engine bundle, released or not, a run, or an exported ``model.onnx``.
        threads: CPU threads; 0 leaves the choice to the backend.

    Raises:
        UsageError: the path is none of the three.
        BundleError: the bundle or the graph cannot be opened.
        MissingExtraError: the path is a run, and PyTorch is not installed.
    """
    if is_bundle(path):
        with _bundle_side(open_bundle(path, require_released=False), threads) as side:
            yield side
    elif (path / run_files.CARD).is_file():
        with _run_side(path, threads) as side:
            yield side
    elif path.suffix == ".onnx" and path.is_file():
        with _graph_side(path, threads) as side:
            yield side
    else:
        raise UsageError(
            f"{path} is neither an engine bundle ({MANIFEST}) nor a run ({run_files.CARD}) nor an .onnx file",
            hint="name a folder in engines/, a folder in runs/, or the model.onnx of a run",
        )


@contextmanager
def _bundle_side(bundle: Bundle, threads: int) -> Iterator[OpenSide]:
    with closing(open_engine(bundle, threads)) as engine:
        yield OpenSide(
            name=bundle.manifest.name,
            kind="engine",
            path=bundle.folder,
            engine=engine,
            card=bundle.card,
            thresholds=bundle.thresholds,
            graph=bundle.engine_path,
            golden=bundle.folder / GOLDEN,
            sha256=bundle.engine_sha256,
        )


@contextmanager
def _graph_side(model: Path, threads: int) -> Iterator[OpenSide]:
    require("onnxruntime", purpose="parity with an ONNX graph")
    card = card_in_graph(model)
    backend = BACKENDS.get("onnxruntime")()
    with closing(backend.open(model, precision="fp32", max_batch=MAX_BATCH, threads=threads)) as engine:
        yield OpenSide(
            name=f"{card.name} ONNX",
            kind="ONNX",
            path=model,
            engine=engine,
            card=card,
            thresholds=card.thresholds,
            graph=model,
            golden=model.parent / GOLDEN,
            sha256=sha256_of(model),
        )


@contextmanager
def _run_side(run: Path, threads: int) -> Iterator[OpenSide]:
    require("torch", "torchvision", "safetensors", purpose="parity with a run (PyTorch)")
    from sji_edge.models.checkpoint import WEIGHTS_FILE, card_of_run
    from sji_edge.models.timed import torch_outputs

    card = card_of_run(run)
    exported = run / REFERENCE
    with torch_outputs(run, threads) as predict:
        yield OpenSide(
            name=f"{card.name} PyTorch",
            kind="PyTorch",
            path=run,
            engine=RunEngine(predict, card),
            card=card,
            thresholds=card.thresholds,
            graph=exported if exported.is_file() else None,
            golden=run / GOLDEN,
            sha256=sha256_of(run / WEIGHTS_FILE),
        )
