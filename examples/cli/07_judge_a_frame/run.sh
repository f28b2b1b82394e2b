#!/usr/bin/env bash
# Judge one frame, keep its picture, and list its joints.
set -euo pipefail

sji-edge infer --stream boards/board01.png --recipe boards/ --output one-frame --save-images one-frame/pictures
sji-edge inspections joints --database one-frame/inspections.db
