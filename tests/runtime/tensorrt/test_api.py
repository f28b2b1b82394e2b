"""Every name that our code uses from TensorRT, pycuda and cuda-python is checked against the installed packages.

The packages ship no stubs. So the source is read: which attributes it takes from which of their objects, and with how
many arguments it calls them; the packages' own classes, and the signatures in their docstrings, say the rest. Without
the other versions of TensorRT at hand, those that lack a name are listed in ``GUARDED``, which is checked for each
version that there is.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sji_edge.runtime
from sji_edge.core.errors import SjiError
from sji_edge.runtime.tensorrt.package import TENSORRT, TENSORRT_RTX, version_of

SOURCE = Path(sji_edge.runtime.__file__).parent
OBJECTS = {
    "tensorrt/backend.py": {
        "runtime": "Runtime",
        "engine": "ICudaEngine",
        "engine.create_engine_inspector()": "EngineInspector",
    },
    "tensorrt/build.py": {
        "builder": "Builder",
        "network": "INetworkDefinition",
        "network.get_input(0)": "ITensor",
        "config": "IBuilderConfig",
        "parser": "OnnxParser",
        "profile": "IOptimizationProfile",
        "plan": "IHostMemory",
        "cache": "ITimingCache",
        "layer": "ILayer",
        "tensor": "ITensor",
    },
    "tensorrt/calls.py": {},
    "tensorrt/execution.py": {
        "plan": "ICudaEngine",
        "self._plan": "ICudaEngine",
        "execution": "IExecutionContext",
        "config": "IRuntimeConfig",
        "strategies": "ExecutionContextAllocationStrategy",
        "kinds": "DynamicShapesKernelSpecializationStrategy",
    },
    "tensorrt/engine.py": {"chosen.execution": "IExecutionContext"},
    "tensorrt/log.py": {"parser": "OnnxParser", "first": "ParserError"},
    "tensorrt/package.py": {"kinds": "NetworkDefinitionCreationFlag"},
    "tensorrt/runtime_cache.py": {"config": "IRuntimeConfig", "self._cache": "IRuntimeCache"},
    "tensorrt/plan.py": {
        "plan": "ICudaEngine",
        "plan.get_tensor_mode(port[0])": "TensorIOMode.INPUT",
        "lean": "Runtime",
        "runtimes[0]": "Runtime",
    },
}
"""What stands behind which name, by file; ``trt`` is the package itself."""

GUARDED = {
    "IProgressMonitor": "8.6",
    "IProgressMonitor.__init__": "8.6",
    "IBuilderConfig.progress_monitor": "8.6",
    "ExecutionContextAllocationStrategy.USER_MANAGED": "8.6",
    "IExecutionContext.set_device_memory": "8.6",
    "ICudaEngine.create_execution_context_without_device_memory": "11 rtx",
    "ICudaEngine.device_memory_size": "11 rtx",
    "ICudaEngine.create_runtime_config": "8.6",
    "IRuntimeConfig.set_execution_context_allocation_strategy": "8.6",
    "IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy": "8.6 10 11",
    "DynamicShapesKernelSpecializationStrategy.EAGER": "8.6 10 11",
    "IRuntimeConfig.create_runtime_cache": "8.6 10 11",
    "IRuntimeConfig.set_runtime_cache": "8.6 10 11",
    "IRuntimeCache.serialize": "8.6 10 11",
    "IRuntimeCache.deserialize": "8.6 10 11",
    "IBuilderConfig.num_compute_capabilities": "8.6 10 11",
    "IBuilderConfig.set_compute_capability": "8.6 10 11",
    "ComputeCapability.__members__.items": "8.6 10 11",
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": "11 rtx",
}
"""Names that a version lacks, and that our code asks for only where they are or are needed."""

GUARDED_CALLS = {("ICudaEngine.create_execution_context", 1): "8.6"}
"""Calls, with their number of arguments, that a version lacks."""


def packages() -> Iterator[Any]:
    for package in (TENSORRT, TENSORRT_RTX):
        try:
            yield pytest.param(package.load(), id=package.backend)
        except SjiError as error:
            yield pytest.param(None, id=package.backend, marks=pytest.mark.skip(reason=error.message))


def version(trt: ModuleType) -> str:
    if trt.__name__ == TENSORRT_RTX.module:
        return "rtx"
    major, minor = version_of(trt)[:2]
    return "8.6" if (major, minor) == (8, 6) else str(major)


def uses() -> Iterator[tuple[str, str, ast.Call | None]]:
    """Yield file and line, dotted name in the package, and the call where it is one."""
    for file, objects in OBJECTS.items():
        tree = ast.parse((SOURCE / file).read_text())
        calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
        inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or id(node) in inner:
                continue
            name = resolved(ast.unparse(node), objects)
            if name:
                yield f"{file}:{node.lineno}", name, calls.get(id(node))


def resolved(text: str, objects: dict[str, str]) -> str:
    for start in ("trt.", "self._trt."):
        if text.startswith(start):
            return text.removeprefix(start)
    for name in sorted(objects, key=len, reverse=True):
        if text.startswith(f"{name}."):
            return f"{objects[name]}{text.removeprefix(name)}"
    return ""


USES = list(uses())
PACKAGES = list(packages())


def found(trt: ModuleType, dotted: str) -> object | None:
    thing: object = trt
    for part in dotted.split("."):
        # What an instance's property gives is not known; its name is.
        if not hasattr(thing, part):
            return None
        thing = getattr(thing, part)
        if isinstance(thing, property):
            return thing
    return thing


def arities(thing: object) -> list[tuple[int, int]]:
    """Least and greatest number of arguments of each signature in a docstring, without ``self``."""
    name = getattr(thing, "__name__", "")
    lines = (getattr(thing, "__doc__", None) or "").splitlines()
    result = []
    for line in lines:
        match = re.match(rf"(?:\d+\. )?{re.escape(name)}\((?:self: [^,)]+(?:, )?)?(.*)\)(?: -> .*)?$", line)
        if match and "*args" not in line:
            given = re.sub(r"\[[^\]]*\]|<[^>]*>", "", match[1])
            parts = [part for part in given.split(",") if part.strip()]
            result.append((sum("=" not in part for part in parts), len(parts)))
    return result


def test_the_source_was_read() -> None:
    names = {name for _, name, _ in USES}
    assert len(names) > 60
    assert {
        "OnnxParser",
        "ICudaEngine.get_tensor_profile_shape",
        "IExecutionContext.execute_async_v3",
    } <= names
    # A file of ours that speaks of TensorRT is read here.
    speaking = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(r"\btrt[.:]", path.read_text())
    }
    assert speaking <= {*OBJECTS}
    assert {*GUARDED} <= names


@pytest.mark.parametrize("trt", PACKAGES)
def test_every_name_is_in_the_package_or_guarded(trt: ModuleType) -> None:
    here = version(trt)
    for place, name, _ in USES:
        lacking = here in GUARDED.get(name, "").split()
        assert (found(trt, name) is None) == lacking, f"{place}: {name} in {here}"


@pytest.mark.parametrize("trt", PACKAGES)
def test_every_call_has_as_many_arguments_as_the_package_takes(trt: ModuleType) -> None:
    checked = 0
    for place, name, call in USES:
        thing = found(trt, name)
        if call is None or thing is None or any(isinstance(argument, ast.Starred) for argument in call.args):
            continue
        count = len(call.args) + len(call.keywords)
        if name.endswith(".__init__") or version(trt) in GUARDED_CALLS.get((name, count), "").split():
            continue
        taken = arities(thing)
        if taken:
            checked += 1
            assert any(least <= count <= most for least, most in taken), f"{place}: {name} takes {taken}"
    assert checked > 25


PYCUDA = [
    "init", "Device", "Context", "Stream", "Event", "Error", "mem_alloc", "pagelocked_empty", "memcpy_htod_async",
    "memcpy_dtoh_async", "memset_d32_async", "module_from_buffer", "mem_get_info",
]  # fmt: skip


def test_every_name_of_pycuda_is_in_it() -> None:
    tree = ast.parse((SOURCE / "cuda" / "device.py").read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self.cuda"
    }
    assert used <= {*PYCUDA}
    try:
        driver = importlib.import_module("pycuda.driver")
    except ImportError as error:
        pytest.skip(f"pycuda does not load: {error}")
    assert not [name for name in PYCUDA if not hasattr(driver, name)]
    assert hasattr(driver.Device, "retain_primary_context")
    assert {"push", "pop", "detach"} <= {*dir(driver.Context)}
    assert {"prepare", "prepared_async_call"} <= {*dir(driver.Function)}
    # The reason why errors are caught by this name.
    assert not issubclass(driver.Error, RuntimeError)
