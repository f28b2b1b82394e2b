#!/usr/bin/env bash
# Build one engine of a given precision, and list all engines.
set -euo pipefail

sji-edge build-engine runs/tuned --backend onnxruntime --precision fp32
sji-edge engine list
