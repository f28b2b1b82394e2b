#!/usr/bin/env bash
# Train with balanced class weights, under a name of your choice.
set -euo pipefail

sji-edge train joints/ --name tuned --class-weights balanced --beta 0.5 --image-size 32 --epochs 1 --batch-size 16
