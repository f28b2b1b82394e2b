"""The driver and its devices, with nothing else imported: this decides whether the check goes on."""

import json
import sys

from sji_edge.runtime.cuda.driver import ask_driver

found = ask_driver()
if found.missing:
    sys.exit(found.missing)
devices = [
    {"name": one.name, "capability": one.compute_capability, "multiprocessors": one.multiprocessors}
    for one in found.devices
]
print(json.dumps({"cuda": found.cuda, "devices": devices}))
