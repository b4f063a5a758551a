"""PPO's update and acting for perceptrons on a CPU, compiled; `ppo/update.py` is the reference."""
