"""Convolution: standard, strided, dilated, grouped, depthwise, 1×1; any padding."""
