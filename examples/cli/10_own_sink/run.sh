#!/usr/bin/env bash
# Install a package with its own sink, and send every record to it. (`pip install ./acme_siren` in your own
# environment; --target keeps this example out of it, --no-build-isolation lets it run offline.)
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cp -r "$here/acme_siren" acme_siren
python -m pip install --quiet --no-index --no-deps --no-build-isolation --target site ./acme_siren
export PYTHONPATH="$PWD/site${PYTHONPATH:+:$PYTHONPATH}"

sji-edge infer --stream boards/ --recipe boards/ --output own-sink --sink siren
cat own-sink/*.siren
