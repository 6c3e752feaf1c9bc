"""Finds a learning rate by short runs on the same batches."""
