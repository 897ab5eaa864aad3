"""Convolution, bias, activation and pooling in one pass."""
