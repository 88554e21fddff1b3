"""Floe off chain: the reference model, the build, and the tools around the contracts."""

__version__ = "0.1.0"
