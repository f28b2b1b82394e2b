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
from tiny_bundle import formula

STREAMS: dict[int, "HostStream"] = {}


class HostStream:
    def __init__(self) -> None:
        self.handle = 1000 + len(STREAMS)
        self.work: list = []
        self.capture: list | None = None
        STREAMS[self.handle] = self

    def put(self, work) -> None:
        (self.work if self.capture is None else self.capture).append(work)

    def synchronize(self) -> None:
        assert self.capture is None, "a capture was broken by a wait"
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

    def __init__(self, cut=None) -> None:
        self.depth = 0
        self.memories: list[HostMemory] = []
        self.page_locked: list[weakref.ref] = []
        self.closed = False
        self._cut = cut

    @contextmanager
    def current(self):
        self.depth += 1
        yield
        self.depth -= 1

    def event(self):
        return HostEvent()

    def stream(self):
        return HostStream()

    def device_memory(self, size: int) -> HostMemory:
        assert self.depth
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

    def load_kernel(self) -> None:
        assert self._cut is not None

    def cut(self, launch, frame, maps, crops, stream) -> None:
        stream.put(lambda: self._cut(launch, int(frame), int(maps), int(crops)))

    def close(self) -> None:
        assert not [one for one in self.page_locked if one() is not None], (
            "page-locked memory outlives its context"
        )
        self.closed = True


class HostExecution:
    """An execution context: computes a function of the crops, through addresses as TensorRT does."""

    def __init__(self, compute) -> None:
        self.addresses: dict[str, int] = {}
        self.shape = (0,)
        self.compute = compute
        self.fails = False

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def set_input_shape(self, name: str, shape) -> bool:
        assert name == "crops"
        self.shape = tuple(shape)
        return True

    def execute_async_v3(self, handle: int) -> bool:
        shape, source, target = self.shape, self.addresses["crops"], self.addresses["logits"]

        def run() -> None:
            crops = np.frombuffer(ctypes.string_at(source, int(np.prod(shape))), np.uint8).reshape(shape)
            logits = self.compute(crops).astype(np.float32)
            ctypes.memmove(target, logits.ctypes.data, logits.nbytes)

        if self.fails:
            return False
        STREAMS[handle].put(run)
        return True


class HostPlan:
    def __init__(self, compute=formula) -> None:
        self.compute = compute
        self.executions: list[HostExecution] = []

    def create_execution_context(self) -> HostExecution:
        self.executions.append(HostExecution(self.compute))
        return self.executions[-1]


class HostBindings:
    """The part of ``cuda.bindings.driver`` that records graphs, in its own manner of answering."""

    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1)
    OK = type("CUresult", (int,), {"name": "CUDA_SUCCESS"})(0)
    BAD = type("CUresult", (int,), {"name": "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"})(900)

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.launches = 0
        self.alive = 0

    def _answer(self, call: str, *values):
        return (self.BAD, *(None for _ in values)) if call == self.fails else (self.OK, *values)

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
