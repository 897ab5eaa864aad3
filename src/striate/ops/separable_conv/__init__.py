"""Depthwise separable convolution: each channel by itself, then 1×1 across the channels."""
