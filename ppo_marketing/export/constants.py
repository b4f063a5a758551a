"""The constants of an ONNX graph, checked before anything is asked of it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from ppo_marketing.errors import UserError


def require_finite_constants(model: bytes) -> None:
    """Raise UserError that names every constant of an ONNX model that is not finite, or elsewhere.

    A constant may name a file outside, which no hash of the model covers.
    """
    parsed = onnx.ModelProto()
    parsed.ParseFromString(model)
    outside = [one.name for one in parsed.graph.initializer if one.data_location]
    if outside:
        raise UserError(f"constants of the graph are in other files: {', '.join(outside)}")
    bad = [
        constant.name
        for constant in parsed.graph.initializer
        if not np.isfinite(numpy_helper.to_array(constant)).all()
    ]
    if bad:
        raise UserError(f"constants of the graph are not finite: {', '.join(bad)}")
