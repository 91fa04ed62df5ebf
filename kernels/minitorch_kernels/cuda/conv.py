"""Convolution on the GPU: operands packed for tensor cores, and which tiles of conv.cu and conv_dw.cu compute it.

A call is two launches: conv_pack.cu copies x and w with the channels of a pixel side by side (and rounds float32 to
TF32), and the product writes y in its usual order. dw needs a third, which adds the parts of its sum. Groups of few
channels, such as depthwise, go to conv_direct.cu, without copies. Everything is three-dimensional inside.
"""
from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import gcd, prod
from typing import Any, NamedTuple

import cupy
import numpy as np
from cupy.cuda import runtime

from . import settings
from .build import Program, ctype

TENSOR = ("half", "bfloat16", "float")
# Tiles of the result, and what part of the best rate they reach: small ones read shared memory more often.
TILES = {(128, 128): 1.0, (64, 256): 1.0, (64, 64): 0.75}
CHUNK, DEPTH, STAGES = 16, 64, 4  # bytes, as in conv.cuh

_KINDS = [f"Tensor<{t}, {m}, {n}, {w}>" for t in TENSOR for (m, n), w in
          (((128, 128), "64, 64"), ((64, 256), "64, 64"), ((64, 64), "32, 32"))]
_EXACT = ["Exact<128, 128, {}>", "Exact<64, 64, {}>"]
forward = Program("conv.cu", {"conv": ((*_KINDS, *(kind.format("true") for kind in _EXACT)),)})
weights = Program("conv_dw.cu", {"conv_dw": ((*_KINDS, *(kind.format("false") for kind in _EXACT)),),
                                 "sum_parts": (TENSOR,)})
packing = Program("conv_pack.cu", {"pack": (TENSOR,)})
small = Program("conv_direct.cu", {"direct": (TENSOR, (1, 4), (False, True)), "direct_dw": (TENSOR,)})

_AXIS = np.dtype([(name, np.int32) for name in ("out", "size", "window", "stride", "dilation", "shift", "skip", "reach")])
_CONV = np.dtype([("axes", _AXIS, 3), *((name, np.int32) for name in (
    "images", "groups", "rows", "chunks", "turned", "relu", "wide"))])
_CONV_DW = np.dtype([("axes", _AXIS, 3), ("by", [("magic", np.uint32), ("shift", np.int32)], 3), *(
    (name, np.int32) for name in ("images", "groups", "outputs", "dy_chunks", "chunks", "splits"))])
_PACKING = np.dtype([(name, np.int32) for name in ("batch", "channels", "packed")] + [
    (name, np.int32, 3) for name in ("source", "before", "size")])
_SPAN = np.dtype([(name, np.int32) for name in ("source", "out", "window", "stride", "dilation", "padding")])
_DIRECT = np.dtype([("spans", _SPAN, 3), *((name, np.int32) for name in (
    "images", "groups", "outputs", "inputs", "by_output", "by_input", "relu"))])
