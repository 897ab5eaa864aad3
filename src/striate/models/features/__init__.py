"""Hand-crafted features: HOG, LBP and bags of SIFT words, computed in parallel and cached."""
