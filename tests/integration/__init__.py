"""Tests through Ape on anvil; those that say so also run on a fork (`make test-fork`)."""
