#!/usr/bin/env bash
# Packs ahead what scripts/gpu_check.sh needs on a bare GPU machine without a network: Python, the edge packages, pycuda,
# cuda-bindings, TensorRT 8.6 with its builder, compute-sanitizer, an exported run, a calibration set, data, this commit.
#
#   scripts/gpu_pack.sh --run RUN --calibration SET --data DIR --out OUT [--piece-bytes N] [--level N]
#                       [--cuda-bindings VERSION] [--no-tensorrt]
#
# --data           solder-joints/ (only its test split is taken) and boards/
# --piece-bytes    the archive is cut into pieces of this size (default: 400000000)
# --level          zstd's compression level (default: 9)
# --cuda-bindings  version that fits the machine's driver (default: 13.0.3; 12.6.2 for drivers of CUDA 12)
# --no-tensorrt    leaves TensorRT out: the checks up to the builds, a quarter of an hour sooner
# There, in the folder with the pieces: bash unpack.sh FOLDER && FOLDER/sji-edge/scripts/gpu_check.sh --out OUT
#
# TensorRT 8.6 is the only complete builder on PyPI that knows compute capability 9.0: the libraries are those of the
# wheel for Python 3.10, the Python module is 8.6.1's. Its resource library must be whole: TensorRT checks its sha256. The
# plugin and parser libraries would need cuDNN and cuBLAS; stubs of what the module looks up take their place.
# NVIDIA's libraries are for that machine only: never commit or publish what this script makes. Needs gcc, g++, zstd and
# CUDA's headers. What lies in OUT/work from an earlier run is used again.
set -euo pipefail
cd "$(dirname "$0")/.."
usage() { sed -n '2,/^# There/p' "$0" | cut -c3-; }
run="" calibration="" data="" out="" piece_bytes=400000000 level=9 cuda_bindings=13.0.3 tensorrt=1
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --no-tensorrt) tensorrt=""; shift ;;
        --run | --calibration | --data | --out | --piece-bytes | --level | --cuda-bindings)
            [ $# -ge 2 ] || { echo "$1 needs a value" >&2; exit 2; }
            name="${1#--}"; printf -v "${name//-/_}" '%s' "$2"; shift 2 ;;
        *) echo "unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
done
for needed in "$run/model.onnx" "$run/golden.npz" "$calibration/manifest.json" "$data/boards" "$data/solder-joints/test"; do
    [ -e "$needed" ] || { echo "there is no $needed" >&2; usage >&2; exit 2; }
done
[ -n "$out" ] || { echo "--out is missing" >&2; exit 2; }
python="${PYTHON:-python3.11}"
pip() { "$python" -m pip --disable-pip-version-check "$@"; }
base=$("$python" -c 'import sys; print(sys.base_prefix)')
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
mkdir -p "$out/work" && work=$(cd "$out/work" && pwd)
wheels=$work/wheels packages=$work/packages lib=$work/lib sanitizer=$work/sanitizer
mkdir -p "$wheels" "$lib" "$work/stub"

if [ ! -e "$packages/.done" ]; then
    echo "packages" >&2
    # Headless: the machine may lack what OpenCV's windows need.
    grep -iE '^(numpy|pydantic|pydantic_core|typer|rich|onnx|onnxruntime|protobuf|simplejpeg|zstandard|cryptography)==' constraints.txt > "$work/pins.txt"
    pip install --quiet --target "$packages" --no-deps --only-binary=:all: -c "$work/pins.txt" numpy pydantic pydantic_core typer rich onnx \
        onnxruntime protobuf simplejpeg zstandard cryptography opencv-python-headless annotated-types annotated-doc typing-extensions \
        typing-inspection click markdown-it-py mdurl pygments shellingham ml_dtypes flatbuffers packaging cffi pycparser pytools \
        platformdirs mako markupsafe siphash24 "cuda-bindings==$cuda_bindings" cuda-pathfinder
    headers=$(ls -d /usr/local/cuda*/include/cuda.h | tail -1)
    echo 'void stub(void) {}' > "$work/stub/s.c"
    gcc -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$work/stub/libcuda.so" "$work/stub/s.c"
    # pycuda's setup reads its options from the home folder: it gets one of its own.
    echo 'CUDA_ENABLE_CURAND = False' > "$work/stub/.aksetup-defaults.py"
    cache=$(pip cache dir)
    CPATH=$(dirname "$headers") LIBRARY_PATH=$work/stub LDFLAGS=-Wl,--no-as-needed XDG_CONFIG_HOME=${XDG_CONFIG_HOME:-$HOME/.config} \
        HOME=$work/stub PIP_CACHE_DIR=$cache pip wheel --quiet --no-deps -w "$wheels" pycuda
    "$python" -m zipfile -e "$wheels"/pycuda-*.whl "$packages"
    mkdir -p "$packages/sji_edge-0.1.0.dist-info"
    printf 'Metadata-Version: 2.1\nName: sji-edge\nVersion: 0.1.0\n' > "$packages/sji_edge-0.1.0.dist-info/METADATA"
    rm -rf "$packages/onnx/backend/test" "$packages/onnxruntime/transformers/models"
    touch "$packages/.done"
fi
if [ ! -e "$sanitizer/compute-sanitizer" ]; then
    echo "compute-sanitizer" >&2
    pip install --quiet --target "$work/sanitizer-wheel" --no-deps "nvidia-cuda-sanitizer-api-cu12==12.9.79"
    # The program looks for its libraries beside itself.
    mkdir -p "$sanitizer" && cp "$work"/sanitizer-wheel/nvidia/cuda_sanitizer_api/lib/*.so "$sanitizer/"
    install -m 755 "$work/sanitizer-wheel/nvidia/cuda_sanitizer_api/bin/compute-sanitizer" "$sanitizer/"
fi
if [ -n "$tensorrt" ] && [ ! -e "$lib/.done" ]; then
    echo "TensorRT" >&2
    get() { pip download --quiet --no-deps --only-binary=:all: -d "$wheels" "$@"; }
    get --python-version 310 --implementation cp --abi cp310 --platform manylinux_2_17_x86_64 tensorrt==8.6.0
    get --python-version "${version/./}" tensorrt-bindings==8.6.1
    "$python" -m zipfile -e "$wheels"/tensorrt_bindings-8.6.1-*.whl "$packages"
    mkdir -p "$packages/tensorrt"
    printf 'from tensorrt_bindings import *\nfrom tensorrt_bindings import __version__\n' > "$packages/tensorrt/__init__.py"
    "$python" - "$wheels" "$lib" <<'P'
import pathlib
import sys
import zipfile

wheels, lib = map(pathlib.Path, sys.argv[1:])
with zipfile.ZipFile(next(wheels.glob("tensorrt-8.6.0-*.whl"))) as wheel:
    for name in wheel.namelist():
        if name.endswith(("libnvinfer.so.8", "libnvonnxparser.so.8")) or "builder_resource" in name:
            (lib / name.rsplit("/", 1)[-1]).write_bytes(wheel.read(name))
P
    echo 'extern "C" bool initLibNvInferPlugins(void *, const char *) { return true; }' > "$work/stub/p.cpp"
    cat > "$work/stub/q.cpp" <<'C'
namespace nvuffparser {
void *createUffParser() { return 0; }
enum class FieldType : int;
struct FieldMap { FieldMap(const char *, const void *, FieldType, int); };
FieldMap::FieldMap(const char *, const void *, FieldType, int) {}
}
namespace nvcaffeparser1 {
void *createCaffeParser() { return 0; }
void shutdownProtobufLibrary() {}
}
C
    g++ -shared -fPIC -Wl,-soname,libnvinfer_plugin.so.8 -o "$lib/libnvinfer_plugin.so.8" "$work/stub/p.cpp"
    g++ -shared -fPIC -Wl,-soname,libnvparsers.so.8 -o "$lib/libnvparsers.so.8" "$work/stub/q.cpp"
    touch "$lib/.done"
fi

echo "archive" >&2
tree=$work/tree kit=$work/tree/kit
rm -rf "$tree" && mkdir -p "$kit/python/bin" "$kit/python/lib" "$kit/data/solder-joints" "$tree/sji-edge"
cp "$base/bin/python$version" "$kit/python/bin/python3"
cp -a "$base"/lib/libpython"$version".so* "$kit/python/lib/" 2> /dev/null || true
tar cf - -C "$base/lib" --exclude=site-packages --exclude=test --exclude=idlelib --exclude=ensurepip --exclude=tkinter \
    --exclude="config-$version*" --exclude=__pycache__ "python$version" | tar xf - -C "$kit/python/lib"
# Libraries that Python's own modules need and a bare machine may lack.
ldd "$kit/python/lib/python$version"/lib-dynload/*.so | awk '/=> \//{print $3}' | sort -u | grep -E 'lib(bz2|crypt|crypto|ffi|lzma|sqlite3|ssl|uuid|z)\.' |
    while read -r file; do cp -L "$file" "$kit/python/lib/"; done
cp -rL "$run" "$kit/run" && rm -f "$kit/run"/*.safetensors
cp -rL "$calibration" "$kit/calibration"
cp -rL "$data/boards" "$kit/data/"
cp -rL "$data/solder-joints/test" "$kit/data/solder-joints/"
[ ! -e "$data/solder-joints/labels.csv" ] || cp -L "$data/solder-joints/labels.csv" "$kit/data/solder-joints/"
git archive HEAD | tar xf - -C "$tree/sji-edge"
ln -s "$packages" "$kit/packages" && ln -s "$lib" "$kit/lib" && ln -s "$sanitizer" "$kit/sanitizer"
rm -rf "$out/pieces" && mkdir -p "$out/pieces/zstd"
tar chf - -C "$tree" . | zstd -T0 "-$level" --long=27 -q -c | split -b "$piece_bytes" -d -a 3 - "$out/pieces/kit.tar.zst."
# The machine may have no zstd.
cp "$(command -v zstd)" "$out/pieces/zstd/"
ldd "$(command -v zstd)" | awk '/=> \//{print $3}' | grep -vE 'lib(c|m|pthread)\.' | while read -r file; do cp -L "$file" "$out/pieces/zstd/"; done
cat > "$out/pieces/unpack.sh" <<'U'
#!/usr/bin/env bash
# Puts the pieces beside this script together in FOLDER: bash unpack.sh FOLDER
set -euo pipefail
mkdir -p "${1:?a folder}"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")"
chmod +x zstd/zstd
cat kit.tar.zst.* | LD_LIBRARY_PATH=$PWD/zstd zstd/zstd -d --long=27 -q -c | tar xf - -C "$folder"
echo "next: $folder/sji-edge/scripts/gpu_check.sh --out gpu-check"
U
du -sh "$out/pieces"
