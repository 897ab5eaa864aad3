"""Mixed pooling: between the largest and the average of each window."""
