"""A user's own network: an ONNX file or a torch module becomes a model."""
