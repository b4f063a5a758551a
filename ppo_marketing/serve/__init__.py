"""Live decisions from an exported bundle: no simulator, no trainer and no registry in the process.

`app.py` is the web application, `run.py` the process around it; `envs/<decision>/live` adds what
one decision's own protocol needs.
"""
