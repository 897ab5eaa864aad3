"""Average pooling: sliding windows, adaptive windows, and the whole picture."""
