"""What is written while training: metrics, TensorBoard, profiles."""
