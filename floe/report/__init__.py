"""Tables, pictures, and the protocol's history out of its events."""
