"""Two weeks of Floe, on a proof-of-stake chain of one's own, in a minute and a half: `make demo`.

`floe.devnet` is the chain. `daemons` are the members of the oracle's committee and a keeper, `processes` of their own;
`news` tells what they did. `stage` is what stakers do, `staking` what operators and the council do, `story` who does
what on which day, and `books` checks at the end that every wei is where it should be.
"""
