"""Exact integer arithmetic of sizes, parameters, multiply-adds and receptive fields.

Nothing here needs torch but :func:`trace`, which walks a real model and imports it when first used.

>>> from striate import geometry
>>> geometry.output_size(32, 5), geometry.conv((3, 32, 32), 6, 5).parameters
(28, 456)
"""

from __future__ import annotations

from striate.geometry.cost import conv_macs, conv_parameters, linear_macs
from striate.geometry.operators import (
    Layer,
    adaptive_pool,
    chain,
    conv,
    conv_transpose,
    flattened_conv,
    global_pool,
    linear,
    local_conv,
    parallel,
    pool,
    pyramid_pool,
    separable_conv,
    spatial_separable_conv,
    spectral_pool,
)
from striate.geometry.window import (
    adaptive_windows,
    ends,
    extent,
    output_size,
    same_padding,
    transposed_output_size,
)

__all__ = [
    "Layer",
    "adaptive_pool",
    "adaptive_windows",
    "chain",
    "conv",
    "conv_macs",
    "conv_parameters",
    "conv_transpose",
    "ends",
    "extent",
    "flattened_conv",
    "global_pool",
    "linear",
    "linear_macs",
    "local_conv",
    "output_size",
    "parallel",
    "pool",
    "pyramid_pool",
    "same_padding",
    "separable_conv",
    "spatial_separable_conv",
    "spectral_pool",
    "transposed_output_size",
]
