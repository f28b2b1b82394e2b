"""Puts the stand-in for TensorRT on the driver in host memory in TensorRT's place, in every Python process.

``test_gpu_check`` puts this folder on PYTHONPATH, with that driver first on the library path.
"""

import os
import sys

# pycuda refers to more of the driver than is used: what is missing matters when it is called.
sys.setdlopenflags(os.RTLD_LAZY)

from sji_edge.runtime import BACKENDS  # noqa: E402 - after the flags

BACKENDS._entries["tensorrt"] = "support.host_tensorrt:HostTensorRt"
