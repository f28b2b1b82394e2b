"""Runs a graph on the CPU through OpenVINO: batches are split among threads, two may be in flight."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import BundleError, EngineInputError, EnvironmentMismatchError, SjiError
from sji_edge.core.protocols import EngineOutput, EngineSpec
from sji_edge.core.text import one_line
from sji_edge.runtime.onnx_graph import check_crops, outputs_of
from sji_edge.runtime.slots import Turns

DEVICE = "CPU"
SETS = 2
MIN_PART = 4
"""A batch is split only if each thread gets at least this number of crops."""
MAX_OWN_SHAPES = 4
TELEMETRY = "openvino_telemetry"


def load_openvino() -> Any:
    """Import OpenVINO without its telemetry; a plain ``import openvino`` sends usage data.

    Its Python package falls back to a stub if the telemetry package cannot be imported.
    """
    if "openvino" not in sys.modules and TELEMETRY not in sys.modules:
        # None in sys.modules makes the import fail; OpenVINO keeps the stub once it is loaded.
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]
        try:
            import openvino
        finally:
            del sys.modules[TELEMETRY]
        return openvino
    import openvino

    return openvino


@dataclass(slots=True, eq=False)
class _Requests:
    """What one batch in flight uses: its requests by batch size, and those that are running."""

    by_size: dict[int, list[Any]] = field(default_factory=dict)
    any_size: Any = None
    running: list[Any] = field(default_factory=list)


class OpenVinoEngine:
    """A graph compiled for the CPU; with ``submit``, two batches may be in flight.

    A batch with several crops for each thread is split, and each thread works on its part alone: threads that share
    every layer wait for each other at its end, and longer the busier the cores are. All threads work together on a
    smaller batch, which is then faster.

    One model with a dynamic batch serves every size. A model compiled for a single size is faster (batch 1: by about a
    quarter on efficientnet_lite0), so some sizes get their own: those given to ``prepare``, or, if that is never
    called, the first few that occur.
    """

    def __init__(self, core: Any, model: Any, settings: Mapping[str, Any], spec: EngineSpec) -> None:
        self.spec = spec
        self._outputs = outputs_of(spec)
        self._core = core
        self._model = model
        self._settings = dict(settings)
        self._prepared = False
        self._any_size: Any = self._compile(model, streams=1)
        self._threads = int(self._any_size.get_property("INFERENCE_NUM_THREADS"))
        self._parts: dict[int, list[Any]] = {}
        """Compiled models for each batch size, one for each part of the batch."""
        self._compiled: dict[tuple[int, int], Any] = {}
        self._turns = Turns([_Requests(any_size=self._any_size.create_infer_request()) for _ in range(SETS)])

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
        ticket, requests = self._take(crops)
        if len(requests) > 1:
            return self.collect(self._started(ticket, requests))
        # Not split: run in this thread, since handing over to another one takes 2 % of a single crop's time.
        try:
            requests[0].infer()
            return self._output(requests)
        except RuntimeError as error:
            raise _failed(error) from error
        finally:
            self._turns.give_back(ticket)

    def submit(self, crops: NDArray[np.uint8]) -> int:
        """Start a batch; see ``core.protocols.PipelinedEngine``."""
        return self._started(*self._take(crops))

    def _take(self, crops: NDArray[np.uint8]) -> tuple[int, list[Any]]:
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

    def _started(self, ticket: int, requests: list[Any]) -> int:
        try:
            for request in requests:
                request.start_async()
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

    def _output(self, requests: Sequence[Any]) -> EngineOutput:
        """Copy the answers out of the requests that hold a batch's parts."""
        return EngineOutput(
            *(np.concatenate([each.get_tensor(name).data for each in requests]) for name in self._outputs)
        )

    def _filled(self, turn: _Requests, crops: NDArray[np.uint8]) -> list[Any]:
        """Return the requests that hold the crops, each a part of them."""
        size = len(crops)
        if size not in self._parts:
            turn.any_size.set_input_tensor(load_openvino().Tensor(crops))
            return [turn.any_size]
        if size not in turn.by_size:
            turn.by_size[size] = [part.create_infer_request() for part in self._parts[size]]
        start = 0
        for request in turn.by_size[size]:
            tensor = request.get_input_tensor().data
            tensor[...] = crops[start : start + len(tensor)]
            start += len(tensor)
        return turn.by_size[size]

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
            model = self._model.clone()
            model.reshape([size, *self.spec.crop_shape])
            self._compiled[size, streams] = self._compile(model, streams)
        return self._compiled[size, streams]

    def _compile(self, model: Any, streams: int) -> Any:
        settings = {**self._settings, "NUM_STREAMS": streams}
        try:
            compiled = self._core.compile_model(model, DEVICE, settings)
        except RuntimeError as error:
            raise BundleError(f"OpenVINO cannot compile this graph: {one_line(error)}") from error
        wanted = settings["INFERENCE_PRECISION_HINT"]
        taken = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        if taken != wanted:
            raise EnvironmentMismatchError(f"OpenVINO computes in {taken} here instead of {wanted}")
        return compiled


def _wait_for(running: Sequence[Any]) -> None:
    """Wait for every request, even after one has failed; only then may their memory be reused."""
    failure: RuntimeError | None = None
    for request in running:
        try:
            request.wait()
        except RuntimeError as error:
            failure = failure or error
    if failure is not None:
        raise _failed(failure) from failure


def _failed(error: RuntimeError) -> EnvironmentMismatchError:
    return EnvironmentMismatchError(f"OpenVINO failed: {one_line(error)}")
