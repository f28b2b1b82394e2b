#!/usr/bin/env bash
# Choose crops of the training split for INT8.
set -euo pipefail

sji-edge calibrate joints/ --run runs/tuned --count 48
