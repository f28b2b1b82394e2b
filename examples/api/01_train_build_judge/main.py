"""Train, build and judge a frame in ten lines."""

import cv2

import sji_edge as sji

run = sji.train("joints/", image_size=48, epochs=2, batch_size=16)
model = sji.export(run)
engine = sji.build_engine(model, precision="fp32")
frame = cv2.imread("boards/board01.png", cv2.IMREAD_GRAYSCALE)
with sji.Inspector(engine, recipe="boards/") as inspector:
    board = inspector.judge(frame)
print(board.verdict, {joint.refdes: str(joint.verdict) for joint in board.joints})
