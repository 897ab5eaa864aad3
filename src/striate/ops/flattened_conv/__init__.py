"""Flattened convolution: across the channels, then along each dimension by itself."""
