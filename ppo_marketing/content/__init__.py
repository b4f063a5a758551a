"""Language models aligned to a brand: preferences, reward models, PPO with a KL to the reference.

On the core that environments are trained with; it knows no environment, and none knows it.
"""
