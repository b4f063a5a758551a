"""What a command takes seconds to import, imported once in the server that it is forked from."""

import matplotlib.figure  # noqa: F401
import mlflow
import mlflow.models  # noqa: F401
import sklearn.linear_model  # noqa: F401
import torch  # noqa: F401
from mlflow import pyfunc  # noqa: F401
from mlflow.store.tracking import sqlalchemy_store  # noqa: F401

from envs import decision_names, load_decision
from tests.support import interruptible_training  # noqa: F401

for name in decision_names():
    load_decision(name)
