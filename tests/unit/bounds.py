"""Bounds of two targets, as their files in toolchains/ have them."""

from __future__ import annotations

from dataclasses import replace

from buildsys.elf import Bounds

ARMV6 = Bounds(
    machine="arm",
    bits=32,
    endian="little",
    cpu_arch="v6",
    fp_arch="VFPv2",
    thumb="Thumb-1",
    simd="none",
    vfp_args="hard",
    go=(("GOARCH", "arm"), ("GOARM", "6")),
)
ARMV7 = replace(
    ARMV6,
    cpu_arch="v7",
    fp_arch="VFPv3-D16",
    thumb="Thumb-2",
    go=(("GOARCH", "arm"), ("GOARM", "7")),
)
