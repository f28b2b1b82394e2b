#!/usr/bin/env bash
# Install a package with its own source, and name it as the stream. (`pip install ./acme_camera` in your own
# environment; --target keeps this example out of it, --no-build-isolation lets it run offline.)
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cp -r "$here/acme_camera" acme_camera
python -m pip install --quiet --no-index --no-deps --no-build-isolation --target site ./acme_camera
export PYTHONPATH="$PWD/site${PYTHONPATH:+:$PYTHONPATH}"

sji-edge infer --stream 'acme://line1?boards=3' --recipe boards/ --output own-source
