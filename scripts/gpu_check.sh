#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in one go and without a network: engines of resnet18, googlenet and
# efficientnet_lite0 in FP32, FP16 and INT8, each through the parity gate; the GPU tests; the loop on real frames; one
# table of times.
#
#   scripts/gpu_check.sh --data DIR [--wheels DIR] [--backend tensorrt|tensorrt-rtx] [--out DIR] [--epochs N]
#                        [--models A,B] [--frames N] [--ahead CAPABILITY]
#
# --data     the real joints: solder-joints/ and boards/ (default: $SJI_DATA)
# --wheels   folder of local wheels, and of sources for pycuda; they are installed from there and nowhere else. Shared
#            libraries (libnvinfer*.so*) in it, or in its lib/, are put on the library path
# --out      where runs, engines and records go (default: gpu-check/)
# --models   which backbones (default: resnet18,googlenet,efficientnet_lite0)
# --frames   of each engine in the table (default: 10000)
# --ahead    without a GPU: build for this compute capability, such as 8.6, and stop there (tensorrt-rtx only)
# Trained runs found in OUT/runs are used again; others are trained first, which needs the train extra.
# Exit: 0 all passed, 2 usage, 3 something failed, 5 no GPU.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,/^# Exit/p' "$0" | cut -c3-; }

data="${SJI_DATA:-}" wheels="" backend=tensorrt out=gpu-check epochs=8 frames=10000 ahead=""
models=resnet18,googlenet,efficientnet_lite0
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --data | --wheels | --backend | --out | --epochs | --models | --frames | --ahead)
            [ $# -ge 2 ] || { echo "$1 needs a value" >&2; usage >&2; exit 2; }
            printf -v "${1#--}" '%s' "$2"
            ;;
        *) echo "unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
    shift 2
done
case "$backend" in tensorrt | tensorrt-rtx) ;; *) echo "--backend is $backend; tensorrt or tensorrt-rtx" >&2; exit 2 ;; esac
[ -z "$ahead" ] || [ "$backend" = tensorrt-rtx ] || { echo "--ahead needs --backend tensorrt-rtx" >&2; exit 2; }
python="${PYTHON:-.venv/bin/python}"
[ -x "$python" ] || { echo "no Python at $python; make install, or set PYTHON" >&2; exit 2; }
[ -d "$data/solder-joints" ] && [ -d "$data/boards" ] || { echo "--data: no solder-joints/ and boards/ in '$data'" >&2; exit 2; }
data="$(cd "$data" && pwd)"

if [ -n "$wheels" ]; then
    for folder in "$wheels" "$wheels/lib"; do
        if [ -d "$folder" ]; then
            place="$(cd "$folder" && pwd)"
            export LD_LIBRARY_PATH="$place${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
        fi
    done
    packages=(pycuda cuda-bindings)
    if [ "$backend" = tensorrt ]; then packages+=(tensorrt); else packages+=(tensorrt-rtx-cu13-bindings tensorrt-rtx-cu13-libs); fi
    "$python" -m pip install --no-index --find-links "$wheels" --no-build-isolation "${packages[@]}"
fi

missing="$("$python" -c 'from sji_edge.runtime.cuda.driver import ask_driver; print(ask_driver().missing)')"
if [ -n "$missing" ] && [ -z "$ahead" ]; then
    echo "skipped: $missing" >&2
    exit 5
fi

sji() { "$python" -c 'from sji_edge.cli.main import run; run()' "$@"; }
export SJI_DATA="$data"
mkdir -p "$out"
sji doctor --json > "$out/doctor.json"

failed=()
names=()
target=()
if [ -n "$ahead" ]; then target=(--compute-capability "$ahead"); fi
for model in ${models//,/ }; do
    run="$out/runs/$model"
    if [ ! -f "$run/model.onnx" ]; then
        sji train "$data/solder-joints" --model "$model" --name "$model" --runs "$out/runs" --epochs "$epochs"
        sji export "$run"
    fi
    if [ ! -d "$out/calibration/$model" ]; then
        sji calibrate "$data/solder-joints" --run "$run" --name "$model" --calibration "$out/calibration"
    fi
    for precision in fp32 fp16 int8; do
        name="$model-$backend-$precision"
        names+=("$out/engines/$name")
        [ -d "$out/engines/$name" ] && continue
        sji build-engine "$run" --backend "$backend" --precision "$precision" --name "$name" \
            --engines "$out/engines" --calibration "$out/calibration/$model" "${target[@]}" || failed+=("gate $name")
    done
done
if [ -n "$ahead" ]; then
    if [ ${#failed[@]} -gt 0 ]; then
        printf 'failed: %s\n' "${failed[@]}" >&2
        exit 3
    fi
    printf 'built for %s, to be proven there: %s\n' "$ahead" "${names[*]}"
    exit 0
fi
for engine in "${names[@]}"; do
    sji parity "$engine" --data "$data/solder-joints" --split test || failed+=("parity $(basename "$engine")")
done
"$python" -m pytest -m gpu tests -q || failed+=("pytest -m gpu")
for engine in "${names[@]}"; do
    # Defective boards end with exit 0: a FAIL is a verdict, not an error.
    sji infer --stream "$data/boards/board0?.png" --recipe "$data/boards" --engine "$engine" \
        --output "$out/inspections" || failed+=("infer $(basename "$engine")")
done
"$python" benchmarks/gpu_loop.py --frames "$frames" --recipe "$data/boards" --runs "$out/runs" "${names[@]}" | tee "$out/table.txt" \
    || failed+=("benchmark")

if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failed[@]}" >&2
    exit 3
fi
echo "all passed"
