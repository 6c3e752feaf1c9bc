"""A run in numbers, and what is kept of it in files."""
