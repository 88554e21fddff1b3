"""Tests on a fork of a chain with the real deposit contract and system contracts: `make test-fork`."""
