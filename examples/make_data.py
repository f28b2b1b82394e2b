"""Write a small generated data set into the current folder: ``joints/`` to train on, ``boards/`` to judge."""

from pathlib import Path

from sji_edge.data.synthetic.boards import write_boards
from sji_edge.data.synthetic.dataset import write_dataset

COUNTS = {"train": (96, 64), "validation": (40, 24), "test": (40, 24)}
"""Good and defective joints in each split."""

write_dataset(Path("joints"), seed=7, counts=COUNTS)
write_boards(Path("boards"), seed=1007, frames=4, joints=12, defect_rate=0.2)
print("joints/: 288 crops of single joints; boards/: 4 frames of a board with 12 joints, and its recipe")
