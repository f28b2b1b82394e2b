#!/usr/bin/env bash
# Install a package with its own loss, and train with it by name. (`pip install ./acme_loss` in your own
# environment; --target keeps this example out of it, --no-build-isolation lets it run offline.)
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cp -r "$here/acme_loss" acme_loss
python -m pip install --quiet --no-index --no-deps --no-build-isolation --target site ./acme_loss
export PYTHONPATH="$PWD/site${PYTHONPATH:+:$PYTHONPATH}"

sji-edge train joints/ --loss asymmetric --loss-option missed=4 --image-size 32 --epochs 1
