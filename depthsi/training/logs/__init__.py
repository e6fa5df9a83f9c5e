"""What is written while training: metrics, norms, TensorBoard, profiles."""
