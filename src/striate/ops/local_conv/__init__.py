"""Convolution without weight sharing: every output position has a kernel of its own."""
