"""What Floe costs: gas of whole transactions against the bars and the peers, and how it grows. `make bench` runs it."""
