#!/usr/bin/env bash
# From labelled crops to judged boards in four commands.
set -euo pipefail

sji-edge train joints/ --image-size 48 --epochs 2 --batch-size 16
sji-edge export
sji-edge build-engine --precision fp32
sji-edge infer --stream boards/ --recipe boards/
