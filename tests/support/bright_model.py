"""A real graph whose answer can be written down, and boards to judge with it.

The score of a crop of mean grey level m is m^8 / (m^8 + 60^8): 0.5 at 60, not finite on an all-black crop. Joints are
drawn as patches with a pattern, because a flat one counts as hidden. With a guard, the novelty is |m - 40| / 10: at the
limit 1, a joint darker than 30 or brighter than 50 is unlike training. Its only feature is m / 10.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from support.drawn_board import MARKS, board_settings, draw, place

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.protocols import Engine, Frame
from sji_edge.core.verdict import Thresholds
from sji_edge.inspection.judging.frame_job import Deadlines, Model
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import ImageLayout, RecipeLayout
from sji_edge.recipe.board import Recipe
from sji_edge.runtime import BACKENDS
from sji_edge.testing import FakeClock

SPEC = PreprocessSpec(height=16, width=16, channels=1)
THRESHOLDS = Thresholds(lower=0.4, upper=0.6)
GUARDED_THRESHOLDS = Thresholds(lower=0.4, upper=0.6, novelty=1.0)
MODEL = Model(("normal", "defective"), 0, SPEC, "e" * 64)
PLACES = {"J1": (200, 150), "J2": (420, 330), "J3": (200, 330), "J4": (420, 150), "J5": (310, 240)}
SIDE = 40


def score_of(grey, knee=60.0):
    return grey**8 / (grey**8 + knee**8)


def grey_patch(grey: int, height: int = SIDE, width: int | None = None):
    """An image of one joint that has a mean grey level and is not flat, uint8 ``(height, width)``."""
    width = height if width is None else width
    y, x = np.mgrid[:height, :width].astype(float)
    x, y = x - (width - 1) / 2, y - (height - 1) / 2
    return patterned(grey, x / width * SPEC.width, y / height * SPEC.height)


def patterned(grey: int, x, y):
    """Grey levels at places given in pixels of the model's crop, measured from its middle; 0 stays flat.

    A checkerboard whose fields are one crop pixel each, brighter on the right: each pixel of the crop lies within a
    field, and their mean is ``grey`` exactly.
    """
    if grey == 0:
        return np.zeros(x.shape, np.uint8)
    checks = 2 - 4 * ((np.floor(x) + np.floor(y)) % 2)
    return (grey + checks + np.where(x >= 0, 5, -5)).astype(np.uint8)


def novelty_of(grey):
    return abs(grey - 40.0) / 10.0


def write_graph(path: Path, knee: float = 60.0, *, guard: bool = False) -> Path:
    usual = {"usual": np.float32(40), "tenth": np.float32(0.1), "last": np.array([1])}
    constants = {
        "sixty": np.float32(knee),
        "axes": np.array([1, 2, 3]),
        "slope": np.array([[-4, 4]], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["crops"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["wide", "axes"], ["mean"], keepdims=1),
        helper.make_node("Flatten", ["mean"], ["column"]),
        helper.make_node("Div", ["column", "sixty"], ["ratio"]),
        helper.make_node("Log", ["ratio"], ["log"]),
        helper.make_node("Mul", ["log", "slope"], ["logits"]),
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])]
    if guard:
        constants |= usual
        nodes += [
            helper.make_node("Sub", ["column", "usual"], ["away"]),
            helper.make_node("Abs", ["away"], ["distance"]),
            helper.make_node("Mul", ["distance", "tenth"], ["strange"]),
            helper.make_node("Squeeze", ["strange", "last"], ["novelty"]),
            helper.make_node("Mul", ["column", "tenth"], ["features"]),
        ]
        outputs.append(helper.make_tensor_value_info("novelty", TensorProto.FLOAT, ["n"]))
        outputs.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1]))
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", 16, 16, 1])],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def open_engine(
    folder: Path,
    max_batch: int = 8,
    knee: float = 60.0,
    backend: str = "onnxruntime",
    *,
    guard: bool = False,
) -> Engine:
    graph = write_graph(folder / "bright.onnx", knee, guard=guard)
    return BACKENDS.get(backend)().open(graph, precision="fp32", max_batch=max_batch, threads=1)


def write_recipe(folder: Path, extra: str = "") -> Recipe:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name},{x},{y},{SIDE},{SIDE},rect,," for name, (x, y) in PLACES.items()]
    text = "\n".join(["refdes,x,y,width,height,package,lower,upper", *lines]) + "\n" + extra
    (folder / "joints.csv").write_text(text)
    (folder / "board.json").write_text(json.dumps(board_settings()))
    return Recipe.load(folder)


def board_image(greys, matrix=None):
    """A frame in which each named joint is a patch of one mean grey level, well larger than its box."""
    matrix = np.eye(2, 3) if matrix is None else matrix
    image = draw([(x, y, 12.0) for x, y in place(matrix, MARKS)])
    back = np.linalg.inv(matrix[:, :2])
    for name, grey in greys.items():
        middle = place(matrix, [PLACES[name]])[0]
        left, top = np.round(middle).astype(int) - 35
        rows, columns = np.mgrid[top : top + 71, left : left + 71]
        offsets = np.stack([columns - middle[0], rows - middle[1]])
        x, y = np.tensordot(back, offsets, axes=1) * SPEC.width / SIDE
        image[top : top + 71, left : left + 71] = patterned(int(grey), x, y)
    return image


def frame_of(pixels, index=0, name=None, error=""):
    return Frame(index, name or f"board{index:02d}.png", 0, pixels, error)


def recipe_judge(
    folder: Path,
    extra: str = "",
    max_batch: int = 8,
    clock: FakeClock | None = None,
    *,
    engine: Engine | None = None,
    backend: str = "onnxruntime",
    deadlines: Deadlines | None = None,
    live: bool = False,
    guard: bool = False,
) -> BoardJudge:
    limits = GUARDED_THRESHOLDS if guard else THRESHOLDS
    layout = RecipeLayout(write_recipe(folder / "recipe", extra), SPEC, limits)
    engine = engine or open_engine(folder, max_batch, backend=backend, guard=guard)
    clock = clock or FakeClock(step_s=0.001)
    return BoardJudge(engine, MODEL, layout, clock, "run", deadlines=deadlines, live=live)


def image_judge(folder: Path, clock: FakeClock | None = None, backend: str = "onnxruntime") -> BoardJudge:
    layout = ImageLayout(SPEC, THRESHOLDS)
    return BoardJudge(
        open_engine(folder, backend=backend), MODEL, layout, clock or FakeClock(step_s=0.001), "run"
    )
