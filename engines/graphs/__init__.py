"""The three graphs of the chain (detect, pose, encode) with their pre- and post-processing, and their ONNX form."""
