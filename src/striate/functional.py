"""Every operator as a function: ``striate.functional.lp_pool2d(x, 2, kernel_size=3)``."""

from __future__ import annotations

from striate.ops.avg_pool.op import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    global_avg_pool1d,
    global_avg_pool2d,
    global_avg_pool3d,
)
from striate.ops.conv.op import conv1d, conv2d, conv3d
from striate.ops.conv_pool.op import conv_pool1d, conv_pool2d, conv_pool3d
from striate.ops.conv_transpose.op import conv_transpose1d, conv_transpose2d, conv_transpose3d
from striate.ops.flattened_conv.op import flattened_conv2d, flattened_conv3d
from striate.ops.local_conv.op import local_conv1d, local_conv2d, local_conv3d
from striate.ops.lp_pool.op import (
    global_lp_pool1d,
    global_lp_pool2d,
    global_lp_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
)
from striate.ops.max_pool.op import (
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    global_max_pool1d,
    global_max_pool2d,
    global_max_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from striate.ops.mixed_pool.op import mixed_pool1d, mixed_pool2d, mixed_pool3d
from striate.ops.parallel_conv.op import parallel_conv
from striate.ops.pyramid_pool.op import pyramid_pool1d, pyramid_pool2d, pyramid_pool3d
from striate.ops.separable_conv.op import separable_conv1d, separable_conv2d, separable_conv3d
from striate.ops.spatial_separable_conv.op import spatial_separable_conv2d, spatial_separable_conv3d
from striate.ops.spatial_separable_conv.separate import separate
from striate.ops.spectral_pool.op import spectral_pool1d, spectral_pool2d, spectral_pool3d

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_pool1d",
    "conv_pool2d",
    "conv_pool3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "flattened_conv2d",
    "flattened_conv3d",
    "global_avg_pool1d",
    "global_avg_pool2d",
    "global_avg_pool3d",
    "global_lp_pool1d",
    "global_lp_pool2d",
    "global_lp_pool3d",
    "global_max_pool1d",
    "global_max_pool2d",
    "global_max_pool3d",
    "local_conv1d",
    "local_conv2d",
    "local_conv3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mixed_pool1d",
    "mixed_pool2d",
    "mixed_pool3d",
    "parallel_conv",
    "pyramid_pool1d",
    "pyramid_pool2d",
    "pyramid_pool3d",
    "separable_conv1d",
    "separable_conv2d",
    "separable_conv3d",
    "separate",
    "spatial_separable_conv2d",
    "spatial_separable_conv3d",
    "spectral_pool1d",
    "spectral_pool2d",
    "spectral_pool3d",
]
