"""Proximal policy optimisation over arrays, tensors and the Gymnasium API, and nothing else."""
