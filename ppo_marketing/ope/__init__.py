"""Off-policy evaluation: what a log says of a policy that did not write it, and what it cannot."""
