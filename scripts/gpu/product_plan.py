"""A plan that is one matrix product, in TensorRT's place: the engine's host side runs on a real driver without it."""

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.protocols import EngineSpec
from sji_edge.runtime.cuda.device import CudaContext
from sji_edge.runtime.tensorrt.device_buffers import Profile
from sji_edge.runtime.tensorrt.engine import TensorRtEngine
from sji_edge.runtime.tensorrt.plan import LoadedPlan

SIDE, CLASSES, MAX_BATCH = 16, 2, 32
BLOCK = 128
NOWHERE = 1 << 12
"""An address that belongs to nobody."""

PACKAGE = SimpleNamespace(ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="ours"))
SPEC = EngineSpec((SIDE, SIDE, 1), CLASSES, MAX_BATCH, "tensorrt", "fp32")


def weights() -> NDArray[np.float32]:
    """Whole numbers, so that the sums are exact in float32 in any order."""
    return np.random.default_rng(0).integers(-9, 10, (SIDE * SIDE, CLASSES)).astype(np.float32)


def products(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the plan must answer, bit by bit."""
    exact = crops.reshape(len(crops), -1).astype(np.int64) @ weights().astype(np.int64)
    return exact.astype(np.float32)


class ProductPlan:
    """The plan; ``place`` is the weights' address. Attributes change what its executions do from then on."""

    device_memory_size_v2 = 256

    def __init__(self, context: CudaContext, driver: Any) -> None:
        self.context, self.driver = context, driver
        code = (Path(__file__).parent / "matrix_product.ptx").read_bytes() + b"\0"
        self.module = self.ask(driver.cuModuleLoadData(code))
        self.function = self.ask(driver.cuModuleGetFunction(self.module, b"matrix_product"))
        host = context.host_memory(weights().shape, np.float32)
        host[...] = weights()
        self.memory, stream = context.device_memory(host.nbytes), context.stream()
        context.copy_in(self.memory, host, stream)
        stream.synchronize()
        self.place = int(self.memory)
        self.allocates = False

    def create_execution_context(self, how: object = None) -> "Execution":
        del how
        return Execution(self)

    @staticmethod
    def ask(answer: tuple[Any, ...]) -> Any:
        result, *values = answer
        if int(result) != 0:
            raise RuntimeError(f"CUDA error {result.name}")
        return values[0] if values else None


class Execution:
    def __init__(self, plan: ProductPlan) -> None:
        self.plan = plan
        self.addresses: dict[str, int] = {}
        self.batch = 0

    def set_device_memory(self, memory: int, size: int) -> None:
        del memory, size

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        del name
        self.batch = shape[0]
        return True

    def execute_async_v3(self, stream: int) -> bool:
        plan = self.plan
        if plan.allocates:
            # Not allowed while a stream is recorded.
            plan.context.device_memory(256).free()
        driver, kinds = plan.driver, (ctypes.c_void_p,) * 3 + (ctypes.c_uint,) * 3
        values = (
            self.addresses["crops"],
            plan.place,
            self.addresses["logits"],
            self.batch,
            SIDE * SIDE,
            CLASSES,
        )
        grid = -(-self.batch * CLASSES // BLOCK)
        handle = driver.CUstream(stream)
        [result] = driver.cuLaunchKernel(
            plan.function, grid, 1, 1, BLOCK, 1, 1, 0, handle, (values, kinds), 0
        )
        return int(result) == 0


def open_product() -> tuple[TensorRtEngine, ProductPlan]:
    """Open the engine; the caller closes it."""
    from cuda.bindings import driver

    context = CudaContext()
    with context.current():
        plan = ProductPlan(context, driver)
        engine = TensorRtEngine(
            context, LoadedPlan(PACKAGE, (), plan, SPEC, Profile(1, MAX_BATCH, MAX_BATCH))
        )
    return engine, plan
