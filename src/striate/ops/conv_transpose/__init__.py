"""Transposed convolution: learned up-sampling."""
