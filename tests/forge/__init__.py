"""The second engine: forge drives the compiled contracts against an independent ledger in Solidity."""
