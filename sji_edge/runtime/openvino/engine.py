"""Runs a graph on the CPU through OpenVINO: batches are split among threads, two may be in flight."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import BundleError, EngineInputError, EnvironmentMismatchError, SjiError
from sji_edge.core.protocols import EngineOutput, EngineSpec
from sji_edge.core.text import one_line
from sji_edge.runtime.onnx_graph import check_crops, outputs_of
from sji_edge.runtime.openvino.compiled import CompiledModels
from sji_edge.runtime.slots import Turns

DEVICE = "CPU"
SETS = 2
MIN_PART = 4
"""A batch is split only if each thread gets at least this number of crops."""
MAX_OWN_SHAPES = 4
ANY_SIZE_CROPS = 3
"""Crops on which a kept model of any batch size proves itself."""
TELEMETRY, CONVERTER = "openvino_telemetry", "openvino.tools.ovc"


def load_openvino() -> Any:
    """Import OpenVINO without its telemetry and its model converter.

    A plain ``import openvino`` sends usage data, and reading the converter takes a third of the import. Its Python
    package does without either; ``openvino.convert_model`` loads the converter when it is called, with a stub of the
    telemetry.
    """
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    with _hidden(TELEMETRY, CONVERTER):
        import openvino
    if not hasattr(openvino, "convert_model"):
        openvino.convert_model = _convert_model
    return openvino


def _convert_model(*arguments: Any, **options: Any) -> Any:
    with _hidden(TELEMETRY):
        from openvino.tools.ovc import convert_model
    return convert_model(*arguments, **options)


@contextmanager
def _hidden(*modules: str) -> Iterator[None]:
    """Make imports of modules fail that are not loaded yet."""
    names = [name for name in modules if name not in sys.modules]
    # None in sys.modules does that.
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A request, and the memory that it reads crops from and writes answers to.

    A request of a fixed batch size keeps its memory, so it is looked up once: doing so for each batch takes a tenth of
    a lone crop's time. A request of any size has no memory of its own, so ``crops`` and ``answers`` are None.
    """

    request: Any
    crops: NDArray[np.uint8] | None = None
    answers: tuple[NDArray[np.float32], ...] | None = None


@dataclass(slots=True, eq=False)
class _Requests:
    """What one batch in flight uses: its requests by batch size, and those that are running."""

    any_size: _Part
    by_size: dict[int, list[_Part]] = field(default_factory=dict)
    running: list[_Part] = field(default_factory=list)


class OpenVinoEngine:
    """A graph compiled for the CPU; with ``submit``, two batches may be in flight.

    A batch with several crops for each thread is split, and each thread works on its part alone: threads that share
    every layer wait for each other at its end, and longer the busier the cores are. All threads work together on a
    smaller batch, which is then faster.

    One model with a dynamic batch serves every size. A model compiled for a single size is faster (batch 1: by about a
    quarter on efficientnet_lite0), so some sizes get their own: those given to ``prepare``, or, if that is never
    called, the first few that occur.
    """

    def __init__(
        self,
        core: Any,
        model: Any,
        settings: Mapping[str, Any],
        spec: EngineSpec,
        kept: CompiledModels | None = None,
    ) -> None:
        self.spec = spec
        self._outputs = outputs_of(spec)
        self._core = core
        self._model = model
        self._settings = dict(settings)
        self._kept = kept
        self._prepared = False
        self._any_size: Any = self._compile(0, streams=1)
        self._threads = int(self._any_size.get_property("INFERENCE_NUM_THREADS"))
        self._parts: dict[int, list[Any]] = {}
        """Compiled models for each batch size, one for each part of the batch."""
        self._compiled: dict[tuple[int, int], Any] = {}
        self._turns = Turns([_Requests(_Part(self._any_size.create_infer_request())) for _ in range(SETS)])

    @property
    def sets(self) -> int:
        """How many batches may be in flight at once."""
        return SETS

    def prepare(self, batch_sizes: Iterable[int]) -> None:
        """Compile for these batch sizes now; afterwards ``infer`` never stops to compile.

        Raises:
            EngineInputError: a size outside 1 to ``spec.max_batch``.
        """
        self._check_open()
        for size in sorted(set(batch_sizes)):
            if not 1 <= size <= self.spec.max_batch:
                raise EngineInputError(f"batch size must be 1 to {self.spec.max_batch} (got {size})")
            self._own_shape(size)
        self._prepared = True

    def infer(self, crops: NDArray[np.uint8]) -> EngineOutput:
        """Judge crops; see ``core.protocols.Engine``."""
        ticket, parts = self._take(crops)
        if len(parts) > 1:
            return self.collect(self._started(ticket, parts))
        # Not split: run in this thread, since handing over to another one takes 2 % of a single crop's time.
        try:
            parts[0].request.infer(share_outputs=True)
            return self._output(parts)
        except RuntimeError as error:
            raise _failed(error) from error
        finally:
            self._turns.give_back(ticket)

    def submit(self, crops: NDArray[np.uint8]) -> int:
        """Start a batch; see ``core.protocols.PipelinedEngine``."""
        return self._started(*self._take(crops))

    def _take(self, crops: NDArray[np.uint8]) -> tuple[int, list[_Part]]:
        """Take a free set and copy the crops into its requests for this batch size."""
        self._check_open()
        check_crops(crops, self.spec)
        size = len(crops)
        if size not in self._parts and not self._prepared and len(self._parts) < MAX_OWN_SHAPES:
            self._own_shape(size)
        ticket, turn = self._turns.take()
        try:
            turn.running = self._filled(turn, crops)
        except RuntimeError as error:
            self._turns.give_back(ticket)
            raise _failed(error) from error
        except BaseException:
            self._turns.give_back(ticket)
            raise
        return ticket, turn.running

    def _started(self, ticket: int, parts: list[_Part]) -> int:
        try:
            for part in parts:
                part.request.start_async()
        except RuntimeError as error:
            self.drop(ticket)
            raise _failed(error) from error
        except BaseException:
            self.drop(ticket)
            raise
        return ticket

    def collect(self, ticket: int) -> EngineOutput:
        """Wait for a batch's answer; see ``core.protocols.PipelinedEngine``."""
        self._check_open()
        running = self._turns.give_back(ticket).running
        _wait_for(running)
        return self._output(running)

    def drop(self, ticket: int) -> None:
        """Abandon a batch that is in flight."""
        with suppress(SjiError):
            _wait_for(self._turns.give_back(ticket).running)

    def layer_types(self) -> dict[str, int]:
        """Return how many layers of the compiled graph are computed in each type (``{"i8": 20, "f32": 6, …}``)."""
        counts: dict[str, int] = {}
        for node in self._any_size.get_runtime_model().get_ops():
            kind = str(node.get_rt_info()["runtimePrecision"].astype(str)) or "none"
            counts[kind] = counts.get(kind, 0) + 1
        return counts

    def close(self) -> None:
        """Drop the compiled models; batches in flight end first."""
        self._turns.clear()
        self._parts.clear()
        self._compiled.clear()
        self._any_size = self._model = None

    def _check_open(self) -> None:
        if self._any_size is None:
            raise EngineInputError("this engine is closed")

    def _output(self, parts: Sequence[_Part]) -> EngineOutput:
        """Copy the answers out of the requests that hold a batch's parts."""
        answers = [self._answers(part) for part in parts]
        if len(answers) == 1:
            return EngineOutput(*(answer.copy() for answer in answers[0]))
        return EngineOutput(*(np.concatenate(pieces) for pieces in zip(*answers, strict=True)))

    def _answers(self, part: _Part) -> tuple[NDArray[np.float32], ...]:
        if part.answers is not None:
            return part.answers
        return tuple(part.request.get_tensor(name).data for name in self._outputs)

    def _filled(self, turn: _Requests, crops: NDArray[np.uint8]) -> list[_Part]:
        """Return the requests that hold the crops, each a part of them."""
        size = len(crops)
        if size not in self._parts:
            turn.any_size.request.set_input_tensor(load_openvino().Tensor(crops))
            return [turn.any_size]
        if size not in turn.by_size:
            turn.by_size[size] = [self._new_part(part) for part in self._parts[size]]
        start = 0
        for part in turn.by_size[size]:
            if part.crops is not None:
                part.crops[...] = crops[start : start + len(part.crops)]
                start += len(part.crops)
        return turn.by_size[size]

    def _new_part(self, compiled: Any) -> _Part:
        request = compiled.create_infer_request()
        # Outputs of a shape that depends on the crops get new memory in each run.
        fixed = all(output.get_partial_shape().is_static for output in compiled.outputs)
        answers = tuple(request.get_tensor(name).data for name in self._outputs) if fixed else None
        return _Part(request, request.get_input_tensor().data, answers)

    def _own_shape(self, size: int) -> None:
        """Compile the models for a batch size; parts of the same size share one."""
        if size in self._parts:
            return
        count = max(1, min(self._threads, size // MIN_PART))
        self._parts[size] = [
            self._compiled_part(size // count + (number < size % count), count) for number in range(count)
        ]

    def _compiled_part(self, size: int, streams: int) -> Any:
        if (size, streams) not in self._compiled:
            self._compiled[size, streams] = self._compile(size, streams)
        return self._compiled[size, streams]

    def _compile(self, size: int, streams: int) -> Any:
        """Compile for a batch size, 0 for any, or take what an earlier start compiled."""
        settings = {**self._settings, "NUM_STREAMS": streams}
        shape = (size or ANY_SIZE_CROPS, *self.spec.crop_shape)
        key = {**settings, "any size": not size}
        compiled = None if self._kept is None else self._kept.load(self._core, DEVICE, settings, key, shape)
        if compiled is None:
            compiled = self._compiled_now(size, settings)
            if self._kept is not None:
                self._kept.keep(compiled, key, shape)
        wanted = settings["INFERENCE_PRECISION_HINT"]
        taken = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        if taken != wanted:
            raise EnvironmentMismatchError(f"OpenVINO computes in {taken} here instead of {wanted}")
        return compiled

    def _compiled_now(self, size: int, settings: Mapping[str, Any]) -> Any:
        model = self._model
        if size:
            model = self._model.clone()
            model.reshape([size, *self.spec.crop_shape])
        try:
            return self._core.compile_model(model, DEVICE, settings)
        except RuntimeError as error:
            raise BundleError(f"OpenVINO cannot compile this graph: {one_line(error)}") from error


def _wait_for(running: Sequence[_Part]) -> None:
    """Wait for every request, even after one has failed; only then may their memory be reused."""
    failure: RuntimeError | None = None
    for part in running:
        try:
            part.request.wait()
        except RuntimeError as error:
            failure = failure or error
    if failure is not None:
        raise _failed(failure) from failure


def _failed(error: RuntimeError) -> EnvironmentMismatchError:
    return EnvironmentMismatchError(f"OpenVINO failed: {one_line(error)}")
