"""The graph of a user's model, read and rebuilt."""
