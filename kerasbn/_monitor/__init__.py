"""The gradients out of the compiled step."""
