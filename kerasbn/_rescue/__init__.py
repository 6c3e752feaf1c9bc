"""The search for the changes that make a model train."""
