"""Spectral pooling: the lowest frequencies of a picture, as a smaller picture."""
