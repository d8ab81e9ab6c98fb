"""Objectives and regularizers: pure functions of logits and of a callable critic. They import torch alone."""
