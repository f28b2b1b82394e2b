#!/usr/bin/env bash
# Judge a camera stream (a generated one: 20 frames a second), then summarize what was recorded.
set -euo pipefail

sji-edge infer --stream 'synthetic://?joints=12&frames=20&fps=20' --output stream --csv
sji-edge inspections runs --database stream/inspections.db
sji-edge inspections pareto --database stream/inspections.db
