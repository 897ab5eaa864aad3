"""Spatially separable convolution: one kernel for each dimension, one after the other."""
