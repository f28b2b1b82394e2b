#!/usr/bin/env bash
# From labelled crops to judged boards in five commands.
set -euo pipefail

sji-edge train joints/ --image-size 48 --epochs 4 --batch-size 16
sji-edge export
sji-edge calibrate joints/ --count 48
sji-edge build-engine
sji-edge infer --stream boards/ --recipe boards/
