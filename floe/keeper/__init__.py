"""The keeper: whatever the protocol needs done and anyone may do, done by whoever runs this."""
