"""Bugs put into the contracts on purpose: what the tests do not notice, they do not test."""
