"""Prove on this machine that the newest engine decides like its reference model."""

import sji_edge as sji

report = sji.compare(data="joints/", split="test")
print("gate passed" if report else "gate failed")
