"""What the daemons share: configuration, logs, metrics and health, retries, the store, keys, and nodes under watch."""
