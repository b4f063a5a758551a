"""The algorithms that PPO is usually compared with, behind one protocol.

`table.py` says which there are and what they need; `own.py` runs those that are settings of our own
core, `stable_baselines.py` the others, and is the only importer of stable-baselines3 and
sb3-contrib.
"""
