"""The beacon chain from outside: its API, its containers and proofs, deposits."""
