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
from striate.ops.parallel_conv.op import parallel_conv
from striate.ops.separable_conv.op import separable_conv1d, separable_conv2d, separable_conv3d
from striate.ops.spatial_separable_conv.op import spatial_separable_conv2d, spatial_separable_conv3d
from striate.ops.spatial_separable_conv.separate import separate

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
    "global_max_pool1d",
    "global_max_pool2d",
    "global_max_pool3d",
    "local_conv1d",
    "local_conv2d",
    "local_conv3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "parallel_conv",
    "separable_conv1d",
    "separable_conv2d",
    "separable_conv3d",
    "separate",
    "spatial_separable_conv2d",
    "spatial_separable_conv3d",
]
