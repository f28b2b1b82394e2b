"""Prove on this machine that the newest engine decides as its reference model does."""

import sji_edge as sji

report = sji.compare(data="joints/", split="test")
print("gate passed" if report else "gate failed")
