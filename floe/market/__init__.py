"""The market around the token, worked out in integers: ways out compared, depth, a crowd that leaves. No I/O."""
