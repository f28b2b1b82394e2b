"""Judge one frame, and print each joint's verdict and the time that it took."""

import cv2

import sji_edge as sji

frame = cv2.imread("boards/board01.png", cv2.IMREAD_GRAYSCALE)

with sji.Inspector(recipe="boards/") as inspector:
    print(f"engine {inspector.engine.name}: {inspector.engine.why}")
    board = inspector.judge(frame, name="board01")

for joint in board.joints:
    print(
        f"{joint.refdes}  {joint.verdict:6}  {joint.cause if joint.score is None else f'{joint.score:.3f}'}"
    )
print(f"board: {board.verdict} {board.cause}")
print(f"inference took {board.latency_ns['infer'] / 1e6:.1f} ms")
