"""Every operator as a layer: ``striate.nn.LPPool2d(2, kernel_size=3)``."""

from __future__ import annotations

from striate.ops.avg_pool.layer import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalAvgPool3d,
)
from striate.ops.conv.layer import Conv1d, Conv2d, Conv3d, LazyConv1d, LazyConv2d, LazyConv3d, fill_kernel_
from striate.ops.conv_pool.layer import ConvPool1d, ConvPool2d, ConvPool3d
from striate.ops.conv_transpose.layer import (
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    LazyConvTranspose1d,
    LazyConvTranspose2d,
    LazyConvTranspose3d,
    tent_,
)
from striate.ops.flattened_conv.layer import FlattenedConv2d, FlattenedConv3d
from striate.ops.local_conv.layer import LocalConv1d, LocalConv2d, LocalConv3d
from striate.ops.lp_pool.layer import (
    GlobalLPPool1d,
    GlobalLPPool2d,
    GlobalLPPool3d,
    LPPool1d,
    LPPool2d,
    LPPool3d,
)
from striate.ops.max_pool.layer import (
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    GlobalMaxPool1d,
    GlobalMaxPool2d,
    GlobalMaxPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from striate.ops.mixed_pool.layer import MixedPool1d, MixedPool2d, MixedPool3d
from striate.ops.parallel_conv.layer import ParallelConv
from striate.ops.pyramid_pool.layer import PyramidPool1d, PyramidPool2d, PyramidPool3d
from striate.ops.separable_conv.layer import SeparableConv1d, SeparableConv2d, SeparableConv3d
from striate.ops.spatial_separable_conv.layer import SpatialSeparableConv2d, SpatialSeparableConv3d
from striate.ops.spectral_pool.layer import SpectralPool1d, SpectralPool2d, SpectralPool3d

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvPool1d",
    "ConvPool2d",
    "ConvPool3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "FlattenedConv2d",
    "FlattenedConv3d",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalAvgPool3d",
    "GlobalLPPool1d",
    "GlobalLPPool2d",
    "GlobalLPPool3d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "GlobalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LocalConv1d",
    "LocalConv2d",
    "LocalConv3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MixedPool1d",
    "MixedPool2d",
    "MixedPool3d",
    "ParallelConv",
    "PyramidPool1d",
    "PyramidPool2d",
    "PyramidPool3d",
    "SeparableConv1d",
    "SeparableConv2d",
    "SeparableConv3d",
    "SpatialSeparableConv2d",
    "SpatialSeparableConv3d",
    "SpectralPool1d",
    "SpectralPool2d",
    "SpectralPool3d",
    "fill_kernel_",
    "tent_",
]
