"""A decision type that the repository does not have, to prove that one folder is all it takes."""
