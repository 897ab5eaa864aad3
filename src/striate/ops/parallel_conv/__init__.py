"""Parallel convolution: branches side by side on the same input, their channels concatenated."""
