"""Choose crops of the training split for INT8."""

import sji_edge as sji

result = sji.calibrate("joints/", run="runs/tuned", count=48)
print(f"{result.folder}: {len(result.manifest.crops)} crops", *result.warnings, sep="\n")
