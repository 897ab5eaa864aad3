"""Lp pooling: the p-norm, or power mean, of each window."""
