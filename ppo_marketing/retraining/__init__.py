"""Retraining that can be left alone: what it is asked, when it may go on, what it decides.

Pure parts only; files, clocks, MLflow and alarms are in `jobs/retraining.py` and beside it.
"""
