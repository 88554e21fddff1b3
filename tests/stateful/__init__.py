"""Contracts and reference model, driven side by side."""
