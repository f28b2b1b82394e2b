#!/usr/bin/env bash
# Checks a GPU machine in ten minutes, without a network and without training: driver and MIG; the crop kernel as
# machine code, as PTX and under compute-sanitizer; the engine's host side on the real driver without TensorRT; an
# illegal access and a broken capture; builds in FP32, FP16 and INT8 with their gate; parity on the test split; recorded
# batches against plain ones, frames against their crops; PyTorch in the same process; 20 times open and close; the
# loop's table; verdicts on boards against ONNX Runtime's. Each step has its time limit, and the next one runs whatever
# becomes of it.
#
#   scripts/gpu_check.sh --run RUN --calibration SET --data DIR [--out DIR] [--backend tensorrt|tensorrt-rtx]
#                        [--frames N] [--optimization-level N] [--no-time-limits] [--only STEP …]
#
# --run          an exported run: model.onnx, card.json, golden.npz
# --calibration  a calibration set that fits it
# --data         solder-joints/ (the test split) and boards/ (a recipe with board*.png)
# --out          logs, engines and report.json (default: gpu-check/)
# --frames       frames of each engine in the loop's table (default: 3000)
# --no-time-limits  the loop's times are reported, but none fails; for a driver without a GPU
# In an unpacked kit of scripts/gpu_pack.sh, the first three are the kit's own, and so is Python.
# Exit: 0 all passed, 2 usage, 3 something did not, 5 no GPU. report.json is written after every step.
set -euo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"
case "${1:-}" in -h | --help) sed -n '2,/^# Exit/p' "$0" | cut -c3-; exit 0 ;; esac
kit="$(dirname "$here")/kit"
words=()
if [ -d "$kit" ]; then
    export PYTHONHOME="$kit/python" LD_LIBRARY_PATH="$kit/lib:$kit/python/lib:/usr/local/nvidia/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    export PYTHONPATH="$kit/packages:$here${PYTHONPATH:+:$PYTHONPATH}" PATH="$kit/sanitizer:$PATH"
    python="$kit/python/bin/python3"
    words=(--run "$kit/run" --calibration "$kit/calibration" --data "$kit/data")
else
    python="${PYTHON:-$here/.venv/bin/python}"
    export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"
fi
[ -x "$python" ] || { echo "no Python at $python; make install, or set PYTHON" >&2; exit 2; }
export PYTHONDONTWRITEBYTECODE=1 COLUMNS=150
case " $* " in *" --out "*) ;; *) words+=(--out gpu-check) ;; esac
exec "$python" "$here/scripts/gpu/check.py" "${words[@]}" "$@"
