"""Fitting unit extractors: feature sampling, k-means, BPE, unit quality."""
