"""Thirty days of Floe on a chain of one's own, in seconds: `make demo`.

`beacon` plays the beacon chain, `stage` sends what people, oracle and keeper send, `story` is who does what on which
day, and `books` checks at the end that every wei is where it should be.
"""
