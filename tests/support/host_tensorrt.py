"""TensorRT's part on the CUDA driver in host memory: a computation that is enqueued on a stream by its handle.

As a plugin of pytest (``-p support.host_tensorrt``) it stands in for the package behind ``--backend tensorrt``, with
ONNX Runtime computing: the GPU's own tests then run, all but the package and the machine.
"""

import ctypes
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from support.host_device import PACKAGES

from sji_edge.runtime import BACKENDS
from sji_edge.runtime.cuda.device import CudaContext
from sji_edge.runtime.tensorrt.device_buffers import Profile
from sji_edge.runtime.tensorrt.engine import TensorRtEngine
from sji_edge.runtime.tensorrt.plan import LoadedPlan

LIBRARY = ctypes.CDLL("libcuda.so.1")
LIBRARY.host_count.restype = ctypes.c_long
CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
SCRATCH = 1000


class Execution:
    def __init__(self, compute: Callable[[np.ndarray], np.ndarray]) -> None:
        self.compute = compute
        self.addresses: dict[str, int] = {}
        self.shape: tuple[int, ...] = ()
        self.calls: list = []

    def set_device_memory(self, address: int, size: int) -> None:
        assert address % 256 == 0
        assert size >= SCRATCH

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def set_input_shape(self, name: str, shape) -> bool:
        self.shape = tuple(shape)
        return True

    def execute_async_v3(self, stream: int) -> bool:
        shape = self.shape

        def work(_: int) -> None:
            given = np.frombuffer(ctypes.string_at(self.addresses["crops"], int(np.prod(shape))), np.uint8)
            answers = self.compute(given.reshape(shape))
            # A plan with a guard computes a tuple.
            pair = answers if isinstance(answers, tuple) else (answers,)
            for name, answer in zip(("logits", "novelty", "features"), pair, strict=False):
                values = np.ascontiguousarray(answer, np.float32)
                ctypes.memmove(self.addresses[name], values.ctypes.data, values.nbytes)

        self.calls = [*self.calls[-100:], CALL(work)]
        return LIBRARY.host_enqueue(ctypes.c_void_p(stream), self.calls[-1], None) == 0


class Plan:
    device_memory_size_v2 = SCRATCH

    def __init__(self, compute: Callable[[np.ndarray], np.ndarray]) -> None:
        self.compute = compute

    def create_execution_context(self, how=None) -> Execution:
        return Execution(self.compute)


class HostTensorRt:
    name: ClassVar[str] = "tensorrt"
    suffix: ClassVar[str] = ".plan"

    def __init__(self, *_how: object) -> None:
        """Take TensorRT's options and who hears of steps; neither has a use here."""

    def environment(self) -> dict[str, str]:
        return {"tensorrt": "host", "gpu": "Host CUDA"}

    def build(self, graph: Path, engine_file: Path, *, precision: str, max_batch: int):
        engine_file.write_bytes(graph.read_bytes())
        return {"layer_types": {precision: 1}}

    def open(
        self, engine_file: Path, *, precision: str, max_batch: int, threads: int, content: bytes | None = None
    ) -> TensorRtEngine:
        cpu = BACKENDS.get("onnxruntime")().open(
            engine_file, precision="fp32", max_batch=max_batch, threads=1, content=content
        )
        spec = replace(cpu.spec, max_batch=max_batch, backend=self.name, precision=precision)
        profile = Profile(1, max_batch, max_batch)

        def compute(crops: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...]:
            output = cpu.infer(crops)
            if output.novelty is None or output.features is None:
                return output.logits
            return output.logits, output.novelty, output.features

        return TensorRtEngine(
            CudaContext(),
            LoadedPlan(PACKAGES["10"], (), Plan(compute), spec, profile),
        )

    def incompatibility(self, precision: str, recorded) -> str:
        return ""


def pytest_configure() -> None:
    BACKENDS._entries["tensorrt"] = f"{__name__}:HostTensorRt"
