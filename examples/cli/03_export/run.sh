#!/usr/bin/env bash
# Export a run to ONNX; the model card travels inside the file.
set -euo pipefail

sji-edge export runs/tuned
