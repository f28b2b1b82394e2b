"""Export a run to ONNX; the model card travels inside the file."""

import sji_edge as sji

model = sji.export("runs/tuned", progress=print)
print(f"{model}: {model.stat().st_size / 1e6:.1f} MB")
