"""Spatial pyramid pooling: bins at several scales, as one vector whatever the picture's size."""
