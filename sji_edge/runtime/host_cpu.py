"""Identifies the CPU, which an engine's numbers and speed depend on."""

import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
ISA_FLAGS = (
    "sse4_2",
    "avx",
    "f16c",
    "fma",
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
)
"""Instruction sets that decide which kernels a CPU engine uses, by their names in Linux."""

INT8_WEIGHT_BITS = "int8_weight_bits"
"""Key of an INT8 engine's environment: how many bits of the weights are used."""


def saturates_int8(facts: Mapping[str, str] | None = None) -> bool:
    """Return whether a CPU's 8-bit multiply-add can overflow.

    x86 without VNNI adds two 8-bit products in 16 bits and saturates. With full-range weights, the kernels of both
    OpenVINO and ONNX Runtime then compute different results from those of the Q/DQ graph, and verdicts flip by the
    hundred. 7-bit weights cannot overflow.

    Args:
        facts: ``cpu_facts()`` of another machine; None: this one's.
    """
    facts = facts or cpu_facts()
    return facts["machine"] in ("x86_64", "AMD64") and not {"avx_vnni", "avx512_vnni", "amx_int8"} & set(
        facts["isa"].split()
    )


def int8_incompatibility(recorded: Mapping[str, str], facts: Mapping[str, str] | None = None) -> str:
    """Say why an INT8 engine built on another machine would decide wrongly here, or return an empty string.

    Args:
        recorded: the environment of the machine that built it.
        facts: ``cpu_facts()`` of the machine that will run it; None: this one's.
    """
    facts = facts or cpu_facts()
    if recorded.get(INT8_WEIGHT_BITS) == "8" and saturates_int8(facts):
        return (
            f"its weights use 8 bits, and this CPU ({facts['cpu']}) has no VNNI: its 8-bit kernels "
            "saturate and would flip verdicts; build it with 7 weight bits"
        )
    return ""


@cache
def cpu_facts() -> dict[str, str]:
    """Return ``cpu`` (model name), ``isa`` (of ``ISA_FLAGS``, or the architecture) and ``machine``."""
    text = CPUINFO.read_text(errors="replace") if CPUINFO.is_file() else ""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    present = set(fields.get("flags", fields.get("features", "")).split())
    return {
        "cpu": fields.get("model name") or platform.processor() or platform.machine(),
        "isa": " ".join(flag for flag in ISA_FLAGS if flag in present) or platform.machine(),
        "machine": platform.machine(),
    }
