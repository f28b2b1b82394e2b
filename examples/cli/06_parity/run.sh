#!/usr/bin/env bash
# Prove on this machine that the newest engine decides as PyTorch does: on its golden crops, then on the test split.
set -euo pipefail

sji-edge parity
sji-edge parity --data joints/ --split test
