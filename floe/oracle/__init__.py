"""What the oracle reports: read from public data at one slot, in integers."""
