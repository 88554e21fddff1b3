"""Two months of Floe, on a proof-of-stake chain of one's own, in a minute: `make demo`.

`floe.devnet` is the chain, `staking` is what operators, strangers and the keeper do between pool and beacon chain,
`stage` what stakers and the oracle do, `story` who does what on which day, and `books` checks at the end that every wei
is where it should be.
"""
