"""Features of videos by any encoder in ONNX."""
