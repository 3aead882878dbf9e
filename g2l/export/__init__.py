"""From a trained network to one checked ONNX file."""
