"""A stand-in for the GPU in host memory: streams that run late, graphs that replay, a plan that is a formula.

Nothing of ours is replaced: the engine, its buffers, its turns and its recorder are the real ones. What is
enqueued runs when somebody waits, so that a result that is read too early is seen.
"""

import ctypes
import time
import weakref
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
from support.tiny_bundle import formula

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import EnvironmentMismatchError

STREAMS: dict[int, "HostStream"] = {}


class HostError(Exception):
    """As pycuda's errors: no ``RuntimeError``."""


class HostStream:
    def __init__(self) -> None:
        self.fails = False
        self.handle = 1000 + len(STREAMS)
        self.work: list = []
        self.capture: list | None = None
        STREAMS[self.handle] = self

    def put(self, work) -> None:
        (self.work if self.capture is None else self.capture).append(work)

    def synchronize(self) -> None:
        assert self.capture is None, "a capture was broken by a wait"
        if self.fails:
            self.work.clear()
            raise HostError("an illegal address was used")
        while self.work:
            self.work.pop(0)()


class HostEvent:
    def __init__(self) -> None:
        self.at: int | None = None

    def record(self, stream: HostStream) -> None:
        stream.put(lambda: setattr(self, "at", time.perf_counter_ns()))

    def time_since(self, earlier: "HostEvent") -> float:
        assert self.at is not None, "not reached yet"
        assert earlier.at is not None
        return (self.at - earlier.at) / 1e6


class HostMemory:
    def __init__(self, size: int) -> None:
        self.buffer = ctypes.create_string_buffer(size)
        self.size = size
        self.freed = 0

    def __int__(self) -> int:
        return ctypes.addressof(self.buffer)

    def free(self) -> None:
        self.freed += 1
        assert self.freed == 1, "freed twice"


class HostContext:
    """What ``cuda_device.CudaContext`` offers."""

    errors = (HostError, RuntimeError)

    def __init__(self, cut=None, room: int | None = None) -> None:
        self.depth = 0
        self.room = room
        self.streams: list[HostStream] = []
        self.memories: list[HostMemory] = []
        self.page_locked: list[weakref.ref] = []
        self.closed = False
        self._cut = cut

    @contextmanager
    def current(self):
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def event(self):
        return HostEvent()

    def stream(self):
        self.streams.append(HostStream())
        return self.streams[-1]

    def device_memory(self, size: int) -> HostMemory:
        assert self.depth
        assert size > 0
        if self.room is not None and len(self.memories) >= self.room:
            raise EnvironmentMismatchError("the GPU has no room")
        self.memories.append(HostMemory(size))
        return self.memories[-1]

    def host_memory(self, shape, dtype):
        assert self.depth
        memory = np.zeros(shape, dtype)
        self.page_locked.append(weakref.ref(memory))
        return memory

    def copy_in(self, device: HostMemory, host: np.ndarray, stream: HostStream) -> None:
        assert self.depth
        assert host.flags.c_contiguous
        assert host.nbytes <= device.size
        stream.put(lambda: ctypes.memmove(int(device), host.ctypes.data, host.nbytes))

    def copy_out(self, host: np.ndarray, device: HostMemory, stream: HostStream) -> None:
        assert host.flags.c_contiguous
        assert host.nbytes <= device.size
        stream.put(lambda: ctypes.memmove(host.ctypes.data, int(device), host.nbytes))

    def poison(self, device: HostMemory, values: int, stream: HostStream) -> None:
        assert 4 * values <= device.size
        stream.put(lambda: ctypes.memset(int(device), 0xFF, 4 * values))

    def load_kernel(self) -> None:
        if self._cut is None:
            raise EnvironmentMismatchError("the crop kernel does not load here: no kernel image")

    def cut(self, launch, frame, maps, crops, stream) -> None:
        stream.put(lambda: self._cut(launch, int(frame), int(maps), int(crops)))

    def close(self) -> None:
        assert not [one for one in self.page_locked if one() is not None], (
            "page-locked memory outlives its context"
        )
        self.closed = True


class HostExecution:
    """An execution context: computes a function of the crops, through addresses as TensorRT does.

    What was recorded from it is worth nothing after another shape, and its scratch memory is given to it.
    """

    def __init__(self, plan: "HostPlan") -> None:
        self.plan = plan
        self.compute = plan.compute
        self.fails = False
        self.addresses: dict[str, int] = {}
        self.shape = (0,)
        self.memory = (0, 0)

    def set_device_memory(self, memory: int, size: int) -> None:
        self.memory = (memory, size)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def set_input_shape(self, name: str, shape) -> bool:
        assert name == "crops"
        self.shape = tuple(shape)
        return True

    def execute_async_v3(self, handle: int) -> bool:
        shape, source = self.shape, self.addresses["crops"]
        names = [name for name in ("logits", "novelty", "features") if name in self.addresses]
        targets = [self.addresses[name] for name in names]
        assert self.memory[0]
        assert self.memory[1] >= self.plan.device_memory_size_v2
        recording = STREAMS[handle].capture is not None

        def run() -> None:
            if self.plan.idle:
                return
            assert not recording or self.shape == shape, "recorded, and then set to another shape"
            crops = np.frombuffer(ctypes.string_at(source, int(np.prod(shape))), np.uint8).reshape(shape)
            answers = self.compute(crops)
            # A plan with a guard computes a tuple.
            pair = answers if isinstance(answers, tuple) else (answers,)
            for address, answer in zip(targets, pair, strict=True):
                values = np.ascontiguousarray(answer, np.float32)
                ctypes.memmove(address, values.ctypes.data, values.nbytes)

        if self.fails or self.plan.fails:
            # A number of failures is counted down, True stays.
            self.plan.fails = self.plan.fails is True or max(0, self.plan.fails - 1)
            return False
        STREAMS[handle].put(run)
        return True


class OldExecution(HostExecution):
    """Up to 10.0, where the memory is an attribute that can only be set."""

    set_device_memory = property()  # hasattr() is False

    def _take(self, memory: int) -> None:
        self.memory = (memory, self.plan.device_memory_size_v2)

    device_memory = property(fset=_take)


class HostPlan:
    device_memory_size_v2 = 1000

    def __init__(self, compute=formula) -> None:
        self.compute = compute
        self.fails = self.idle = False
        self.executions: list[HostExecution] = []
        self.configs: list[HostRuntimeConfig] = []

    def create_execution_context(self, how=None) -> HostExecution:
        # TensorRT for RTX takes a configuration.
        if isinstance(how, HostRuntimeConfig):
            assert how.dynamic_shapes_kernel_specialization_strategy == "eager"
            self.configs.append(how)
            return self._made(HostExecution(self))
        assert how in ("user managed", "user managed, 10.0")
        return self._made(HostExecution(self) if how == "user managed" else OldExecution(self))

    def create_execution_context_without_device_memory(self) -> HostExecution:
        return self._made(OldExecution(self))

    def _made(self, execution: HostExecution) -> HostExecution:
        self.executions.append(execution)
        return execution

    def create_runtime_config(self) -> "HostRuntimeConfig":
        return HostRuntimeConfig()


class HostKernels:
    """TensorRT for RTX's runtime cache: takes its own bytes back, and no others."""

    def __init__(self) -> None:
        self.content = b""

    def deserialize(self, blob: bytes) -> bool:
        self.content = blob if blob.startswith(b"kernels") else b""
        return bool(self.content)

    def serialize(self) -> bytes:
        return self.content or b"kernels of this card"


class HostRuntimeConfig:
    strategy = dynamic_shapes_kernel_specialization_strategy = ""
    cache: HostKernels | None = None

    def create_runtime_cache(self) -> HostKernels:
        return HostKernels()

    def set_runtime_cache(self, cache: HostKernels) -> bool:
        self.cache = cache
        return True

    def set_execution_context_allocation_strategy(self, strategy: str) -> None:
        self.strategy = strategy


STRATEGIES = {"ExecutionContextAllocationStrategy": SimpleNamespace(USER_MANAGED="user managed")}
PACKAGES = {
    "8.6": SimpleNamespace(),
    "10.0": SimpleNamespace(
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user managed, 10.0")
    ),
    "10": SimpleNamespace(**STRATEGIES),
    "rtx": SimpleNamespace(
        **STRATEGIES, DynamicShapesKernelSpecializationStrategy=SimpleNamespace(EAGER="eager")
    ),
}
"""What the packages differ in where execution contexts are made."""


class HostBindings:
    """The part of ``cuda.bindings.driver`` that records graphs, in its own manner of answering."""

    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1)
    OK = type("CUresult", (int,), {"name": "CUDA_SUCCESS"})(0)
    BAD = type("CUresult", (int,), {"name": "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"})(900)

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.on_failure = lambda: None
        self.launches = 0
        self.alive = 0

    def _answer(self, call: str, *values):
        if call != self.fails:
            return (self.OK, *values)
        self.on_failure()
        return (self.BAD, *(None for _ in values))

    def CUstream(self, handle: int) -> int:  # noqa: N802 - the package's name
        return handle

    def cuStreamBeginCapture(self, stream: int, mode: int):  # noqa: N802
        if self.fails != "cuStreamBeginCapture":
            assert not STREAMS[stream].work, "captured while work was waiting"
            STREAMS[stream].capture = []
        return self._answer("cuStreamBeginCapture")

    def cuStreamEndCapture(self, stream: int):  # noqa: N802
        graph, STREAMS[stream].capture = STREAMS[stream].capture, None
        return self._answer("cuStreamEndCapture", graph)

    def cuGraphInstantiate(self, graph, flags: int):  # noqa: N802
        self.alive += self.fails != "cuGraphInstantiate"
        return self._answer("cuGraphInstantiate", tuple(graph))

    def cuEventCreate(self, flags: int):  # noqa: N802
        return self._answer("cuEventCreate", HostEvent())

    def cuEventRecordWithFlags(self, event: HostEvent, stream: int, flags: int):  # noqa: N802
        # The driver refuses either flag where the other belongs.
        assert flags == (STREAMS[stream].capture is not None)
        event.record(STREAMS[stream])
        return self._answer("cuEventRecordWithFlags")

    def cuEventElapsedTime(self, earlier: HostEvent, later: HostEvent):  # noqa: N802
        return self._answer("cuEventElapsedTime", later.time_since(earlier))

    def cuEventDestroy(self, event: HostEvent):  # noqa: N802
        return self._answer("cuEventDestroy")

    def cuGraphUpload(self, graph, stream: int):  # noqa: N802
        return self._answer("cuGraphUpload")

    def cuGraphLaunch(self, graph, stream: int):  # noqa: N802
        self.launches += 1
        for work in graph:
            STREAMS[stream].put(work)
        return self._answer("cuGraphLaunch")

    def cuGraphDestroy(self, graph):  # noqa: N802
        return self._answer("cuGraphDestroy")

    def cuGraphExecDestroy(self, graph):  # noqa: N802
        self.alive -= 1
        return self._answer("cuGraphExecDestroy")


def host_cut(kernel, spec: PreprocessSpec, off: int = 0):
    """Return the crop kernel for ``HostContext``; it makes one sample of the last crop wrong by ``off`` grey levels."""

    def cut(launch, frame: int, maps: int, target: int) -> None:
        height, width, planes = launch.frame
        count = launch.grid[2]
        pixels = np.frombuffer(ctypes.string_at(frame, height * width * planes), np.uint8).copy()
        given = np.frombuffer(ctypes.string_at(maps, count * 48), np.int64).reshape(count, 2, 3).copy()
        made = kernel(pixels.reshape((height, width) if planes == 1 else launch.frame), given, spec)
        sample = int(made[-1, 3, 4, 0])
        made[-1, 3, 4, 0] = sample + (off if sample < 128 else -off)
        ctypes.memmove(target, made.ctypes.data, made.nbytes)

    return cut
