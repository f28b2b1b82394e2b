"""Records with pictures as a line leaves them, on generated boards: the verdicts come from the ground truth."""

import functools
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from support.pool_material import judged, new_crop, origin

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import crops_to_image
from sji_edge.core.protocols import BoardRecord, JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.data.duplicates import difference_hash
from sji_edge.data.synthetic.boards import SyntheticBoards, write_recipe
from sji_edge.data.synthetic.solder import GOOD_STATE
from sji_edge.inspection.outputs.station_boards import straightened
from sji_edge.pool.cutting import box_of, cut_joint
from sji_edge.pool.write import PoolWriter
from sji_edge.recipe.board import Recipe
from sji_edge.records.picture_names import PictureKind, board_picture
from sji_edge.records.write.sqlite import SqliteSink

RUN = "20260131T080000.000000Z"
START = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Material:
    """Where it lies."""

    database: Path
    recipe: Path
    pictures: Path


@functools.cache
def _template() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="station-material-")
    write_material(Path(folder.name) / "line", boards=4, joints=6, defect_rate=0.5, blank=[2])
    return folder


def small_material(folder: Path) -> Material:
    """Return a copy of four boards of six joints, the third one a frame that could not be aligned."""
    shutil.copytree(Path(_template().name) / "line", folder)
    return Material(folder / "inspections.db", folder / "recipe", folder / "boards")


def write_material(
    folder: Path,
    boards: int = 4,
    joints: int = 6,
    defect_rate: float = 0.3,
    *,
    seed: int = 0,
    pictures: bool = True,
    blank: Sequence[int] = (),
) -> Material:
    """Write a recipe, records and pictures; the boards of ``blank`` are frames that could not be aligned."""
    made = SyntheticBoards(seed, joints, defect_rate)
    material = Material(folder / "inspections.db", folder / "recipe", folder / "boards")
    material.recipe.mkdir(parents=True)
    material.pictures.mkdir()
    write_recipe(material.recipe, made)
    recipe = Recipe.load(material.recipe)
    rng = np.random.default_rng(seed)
    with SqliteSink(material.database) as sink:
        sink.keep_packages(recipe.sha256, {joint.refdes: joint.package for joint in recipe.joints})
        if pictures:
            sink.keep_picture_folders(RUN, {PictureKind.BOARD: material.pictures})
        for index in range(boards):
            shot = made.render(index)
            record = _record(index, recipe, shot.states, rng, lost=index in blank)
            sink.write(record)
            if pictures:
                image = shot.image if index in blank else straightened(shot.image, shot.transform)
                cv2.imwrite(str(material.pictures / board_picture(record.board)), image)
    return material


def write_pool(
    folder: Path, boards: int = 4, joints: int = 30, defect_rate: float = 0.15, seed: int = 0
) -> None:
    """Write a pool of all joints of generated boards, with the judgement of an engine that is often right."""
    made = SyntheticBoards(seed, joints, defect_rate)
    spec = PreprocessSpec(height=64, width=64, channels=1)
    rois = np.array([[x, y, width, height, 0.0] for _, x, y, width, height, _ in made.joints], np.float64)
    rng = np.random.default_rng(seed)
    with PoolWriter(folder) as pool:
        for index in range(boards):
            shot = made.render(index)
            crops = []
            maps = crops_to_image(rois, spec, shot.transform)
            for joint, state, crop_map in zip(made.joints, shot.states, maps, strict=True):
                cut = cut_joint(shot.image, crop_map, spec, 0.25)
                score = float(np.clip(rng.normal(0.1 if state == GOOD_STATE else 0.75, 0.15), 0.001, 0.999))
                crops.append(
                    new_crop(
                        joint[0],
                        judged(score, novelty=score),
                        package=joint[5],
                        png=cv2.imencode(".png", cut.pixels)[1].tobytes(),
                        box=cut.box,
                        likeness=difference_hash(box_of(cut.pixels, cut.box)).tobytes(),
                    )
                )
            pool.add(origin(f"SN{1000 + index}"), crops)


def _record(index: int, recipe: Recipe, states: Sequence[str], rng, *, lost: bool) -> BoardRecord:
    joints = []
    for name, state in zip(recipe.names, states, strict=True):
        score = float(
            np.clip(rng.normal(0.05, 0.03) if state == GOOD_STATE else rng.normal(0.7, 0.2), 0.001, 0.999)
        )
        verdict = Verdict.PASS if score < 0.3 else Verdict.REVIEW if score < 0.6 else Verdict.FAIL
        if lost:
            joints.append(JointRecord(name, Verdict.ERROR, None, 0.3, 0.6, cause="alignment"))
        else:
            label = "normal" if verdict is Verdict.PASS else "defective"
            joints.append(
                JointRecord(name, verdict, score, 0.3, 0.6, label, novelty=score, novelty_limit=1.0)
            )
    severity = [Verdict.PASS, Verdict.REVIEW, Verdict.FAIL, Verdict.ERROR]
    return BoardRecord(
        board=f"{RUN}-{index:06d}",
        frame_index=index,
        frame_name=f"board{index:02d}.png",
        utc=(START + timedelta(seconds=40 * index)).isoformat(timespec="microseconds"),
        verdict=max((joint.verdict for joint in joints), key=severity.index),
        joints=tuple(joints),
        engine_sha256="e" * 64,
        recipe_sha256=recipe.sha256,
        cause="alignment: fiducial 0 not found" if lost else "",
        alignment_residual_px=None if lost else 0.2,
        latency_ns={"infer": 4_000_000, "since_capture": 12_000_000},
        serial=f"AX7-{1040 + index}",
    )
