"""Build one engine of a given precision; it is released only if it decides like PyTorch."""

import sji_edge as sji

built = sji.build_engine("runs/tuned", backend="onnxruntime", precision="fp32", progress=print)
print(built.folder)
