"""Metrics: pure functions of samples and their features, and the networks that features come from."""
