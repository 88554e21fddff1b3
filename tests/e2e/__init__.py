"""The whole protocol on a real beacon chain."""
