"""What leaves the house: a verified bundle of a policy, and tables for the systems that act on it.

`onnx` and `onnxruntime` are imported here and where decisions are served, nowhere else.
"""
