"""A brand's rules: what is worth saying, and what may never be said."""
