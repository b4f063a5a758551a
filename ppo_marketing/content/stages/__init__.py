"""The stages of aligning a model, each a folder that an interrupted command goes on in."""
