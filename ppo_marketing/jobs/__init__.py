"""The edge of the pipeline: files, the tracker and progress around each step of the line."""
