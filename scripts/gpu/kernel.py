"""The crop kernel on a GPU, as machine code and as PTX, against the host's cut."""

import argparse
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from outcome import Facts, require, skip

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import crops_of_frame, crops_to_image, outside_frame
from sji_edge.recipe.board import Recipe
from sji_edge.runtime.cuda.crop_kernel import FUNCTION, SIGNATURE, kernel_code, launch_of, to_fixed
from sji_edge.runtime.cuda.device import CudaContext
from sji_edge.runtime.cuda.driver import ask_driver


def kernel_cubin(given: argparse.Namespace) -> Facts:
    return _cut_everything(given, kernel_code())


def kernel_ptx(given: argparse.Namespace) -> Facts:
    [device, *_] = ask_driver().devices
    capability = int(device.compute_capability.replace(".", ""))
    found = {architecture: code for architecture, code in _ptx().items() if architecture <= capability}
    if not found:
        skip(f"there is no PTX for compute capability {device.compute_capability}")
    return {"ptx": max(found), **_cut_everything(given, found[max(found)])}


def random_maps(
    rng: np.random.Generator, count: int, shape: tuple[int, ...], spec: PreprocessSpec, *, inside: bool = True
) -> NDArray[np.float64]:
    found = np.empty((0, 2, 3))
    while len(found) < count:
        centres = rng.random((count, 2)) * [shape[1], shape[0]]
        boxes = np.column_stack([centres, rng.uniform(10, 90, (count, 2)), rng.uniform(-3, 3, count)])
        maps = crops_to_image(boxes, spec)
        found = np.concatenate([found, maps[~outside_frame(maps, spec, shape)] if inside else maps])
    return np.ascontiguousarray(found[:count])


def _cut_everything(given: argparse.Namespace, code: bytes) -> Facts:
    """Cut random joints, grey and BGR, to one channel and three, some over the frame's edge, and a real frame's."""
    rng, most = np.random.default_rng(0), 0
    cases = []
    for planes in (1, 3):
        frame = rng.integers(0, 256, (300, 400) if planes == 1 else (300, 400, 3), dtype=np.uint8)
        for channels in (1, 3):
            spec = PreprocessSpec(height=48, width=40, channels=channels)
            cases.append((frame, random_maps(rng, 60, frame.shape, spec, inside=False), spec))
    if given.recipe is not None:
        spec = PreprocessSpec(height=84, width=84, channels=1)
        for path in sorted(given.recipe.glob("board[0-9]*.png"))[:3]:
            maps = crops_to_image(Recipe.load(given.recipe).rois, spec)
            cases.append((read_image(path, colour=False), maps, spec))
    context = CudaContext()
    with context.current():
        module = context.cuda.module_from_buffer(code)
        function = module.get_function(FUNCTION).prepare(SIGNATURE)
        for frame, maps, spec in cases:
            wanted = np.empty((len(maps), *spec.shape), np.uint8)
            crops_of_frame(frame, maps, wanted)
            off = int(np.abs(_cut(context, function, frame, maps, spec).astype(int) - wanted).max())
            require(off <= 1, f"crops of {frame.shape} to {spec.shape} differ by {off} grey levels")
            most = max(most, off)
        del function, module
    context.close()
    return {"cases": len(cases), "grey_levels": most}


def _cut(
    context: CudaContext, function: Any, frame: Any, maps: Any, spec: PreprocessSpec
) -> NDArray[np.uint8]:
    stream, launch = context.stream(), launch_of(frame, maps, spec.shape, len(maps))
    out = context.host_memory((len(maps), *spec.shape), np.uint8)
    given = [context.host_memory(array.shape, array.dtype.type) for array in (frame, to_fixed(maps))]
    given[0][...], given[1][...] = frame, to_fixed(maps)
    memory = [context.device_memory(array.nbytes) for array in (*given, out)]
    for device, host in zip(memory, given, strict=False):
        context.copy_in(device, host, stream)
    function.prepared_async_call(
        launch.grid,
        launch.block,
        stream,
        int(memory[0]),
        *launch.frame,
        int(memory[1]),
        int(memory[2]),
        *launch.crop,
    )
    context.copy_out(out, memory[2], stream)
    stream.synchronize()
    for one in memory:
        one.free()
    return out.copy()


def _ptx() -> dict[int, bytes]:
    """Return the shipped PTX by architecture, each ended as the driver wants it."""
    code, found = kernel_code(), {}
    at = struct.unpack_from("<IHH", code)[2]
    while at < len(code):
        kind, _, header, size = struct.unpack_from("<HHIQ", code, at)
        if kind == 1:
            text = code[at + header : at + header + size]
            found[int(struct.unpack_from("<I", code, at + 28)[0])] = text.rstrip(b"\0") + b"\0"
        at += header + size
    return found
