"""PPO's update and acting for perceptrons on a CPU, compiled; the reference is torch_engine.py."""
