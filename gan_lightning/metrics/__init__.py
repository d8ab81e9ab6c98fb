"""Metrics: pure functions of samples. They import torch alone."""
