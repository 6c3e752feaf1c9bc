"""A run for the eyes: TensorBoard, page, terminal, pictures."""
