"""Exact integer arithmetic of sizes, parameters, multiply-adds and receptive fields.

Nothing here needs torch but :func:`trace`, which walks a real model; what few need is imported on use.

>>> from striate import geometry
>>> geometry.output_size(32, 5), geometry.conv((3, 32, 32), 6, 5).parameters
(28, 456)
"""

from __future__ import annotations

from striate.geometry.compositions import (
    chain,
    conv_pool,
    flattened_conv,
    parallel,
    separable_conv,
    spatial_separable_conv,
)
from striate.geometry.cost import conv_macs, conv_parameters, linear_macs
from striate.geometry.operators import Layer, conv, conv_transpose, linear, local_conv
from striate.geometry.poolings import (
    adaptive_pool,
    global_pool,
    lp_pool,
    mixed_pool,
    pool,
    pyramid_pool,
    spectral_pool,
)
from striate.geometry.transposed import Setting, overlap, overlaps, transposed_settings
from striate.geometry.window import (
    adaptive_windows,
    ends,
    extent,
    output_size,
    same_padding,
    transposed_output_size,
)

TYPE_CHECKING = False  # typing itself would be half of the time that the import takes
if TYPE_CHECKING:
    from typing import Any

    from striate.geometry.receptive_field import PICTURE, Field
    from striate.geometry.seen import ReceptiveField
    from striate.geometry.tracing import Row, Trace, TraceError, trace

__all__ = [
    "PICTURE",
    "Field",
    "Layer",
    "ReceptiveField",
    "Row",
    "Setting",
    "Trace",
    "TraceError",
    "adaptive_pool",
    "adaptive_windows",
    "chain",
    "conv",
    "conv_macs",
    "conv_parameters",
    "conv_pool",
    "conv_transpose",
    "ends",
    "extent",
    "flattened_conv",
    "global_pool",
    "linear",
    "linear_macs",
    "local_conv",
    "lp_pool",
    "mixed_pool",
    "output_size",
    "overlap",
    "overlaps",
    "parallel",
    "pool",
    "pyramid_pool",
    "same_padding",
    "separable_conv",
    "spatial_separable_conv",
    "spectral_pool",
    "trace",
    "transposed_output_size",
    "transposed_settings",
]

_ON_USE = {
    **dict.fromkeys(("PICTURE", "Field"), "receptive_field"),
    "ReceptiveField": "seen",
    **dict.fromkeys(("Row", "Trace", "TraceError", "trace"), "tracing"),
}


def __getattr__(name: str) -> Any:
    if name not in _ON_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_ON_USE[name]}"), name)
    globals()[name] = value
    return value
