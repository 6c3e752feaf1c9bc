"""A run for the eyes: TensorBoard, page, terminal, heat map."""
