"""Measures how well joints are refined against golden on synthetic boards, whose joints' true shifts are known.

    python benchmarks/refine_joints.py

Each seed is its own board type. The output is the distance between a joint's true and assumed place, with and without
refinement, and the number of joints that refinement moves further away.
"""

import argparse
from unittest import mock

import cv2
import numpy as np

from sji_edge.core.preprocess import Matrix
from sji_edge.data.synthetic import boards as synthetic_boards
from sji_edge.data.synthetic.boards import SyntheticBoards
from sji_edge.recipe.align.refine import Refiner
from sji_edge.recipe.limits import Refinement


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103, 104])
    parser.add_argument("--joints", type=int, default=60)
    parser.add_argument("--frames", type=int, default=2)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    before, after, moved = [], [], []
    for seed in given.seeds:
        boards = SyntheticBoards(seed, given.joints)
        rois = np.array([[x, y, width, height, 0.0] for _, x, y, width, height, _ in boards.joints])
        refiner = Refiner(Refinement(), boards.golden, rois)
        for index in range(given.frames):
            image, transform, wanted = shoot(boards, index)
            found = refiner.offsets(image, transform)
            before.append(np.hypot(*wanted.T))
            after.append(np.hypot(*(found - wanted).T))
            moved.append(found.any(axis=1))
    plain, refined = np.concatenate(before), np.concatenate(after)
    for name, off in (("as placed", plain), ("refined", refined)):
        p50, p90 = np.percentile(off, [50, 90])
        print(f"{name:9} off by p50 {p50:.2f}, p90 {p90:.2f}, at most {off.max():.2f} px")
    worse = np.count_nonzero(refined > plain + 1e-9)
    print(f"{plain.size} joints, {np.concatenate(moved).sum()} moved, {worse} further away than before")


def shoot(boards: SyntheticBoards, index: int) -> tuple[np.ndarray, Matrix, np.ndarray]:
    """Render a frame; return it, its transform, and how far each joint lies from its place on the board."""
    places = []
    draw = synthetic_boards.draw_joint

    def noted(scene: np.ndarray, to_scene: Matrix, *rest: object) -> None:
        places.append(to_scene[:, 2].copy())
        draw(scene, to_scene, *rest)

    with mock.patch.object(synthetic_boards, "draw_joint", noted):
        frame = boards.render(index)
    # At each site, the neighbour is drawn first, then the joint.
    joints, transform = np.array(places[1::2]), frame.transform
    on_board = np.linalg.solve(transform[:, :2], (joints - transform[:, 2]).T).T
    return frame.image, transform, on_board - [(site.x, site.y) for site in boards.layout.sites]


if __name__ == "__main__":
    main()
