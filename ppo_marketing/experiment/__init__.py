"""Experiments outside the simulator: how large, who gets what, and what came of it.

`design` plans a holdout test of a policy against the champion, `assignment` deals units to arms by
a salted hash, `readout` compares the arms, `files` reads and writes what goes between them.
"""
