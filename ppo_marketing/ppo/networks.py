"""The actor and the critic: two perceptrons, and one flat buffer under all their parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

HIDDEN_GAIN = math.sqrt(2.0)  # keeps the scale of activations through tanh layers


class Perceptron(nn.Module):
    """Linear layers with tanh between them, none after the last: [n, inputs] -> [n, outputs]."""

    def __init__(
        self,
        inputs: int,
        hidden: tuple[int, ...],
        outputs: int,
        *,
        last_gain: float,
        rng: np.random.Generator,
    ) -> None:
        super().__init__()
        sizes = (inputs, *hidden, outputs)
        gains = [HIDDEN_GAIN] * len(hidden) + [last_gain]
        self.weights = nn.ParameterList(
            orthogonal(rows, columns, gain, rng)
            for columns, rows, gain in zip(sizes[:-1], sizes[1:], gains, strict=True)
        )
        self.biases = nn.ParameterList(torch.zeros(rows) for rows in sizes[1:])
        self._layers = tuple(zip(self.weights, self.biases, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return the last layer's outputs."""
        for weight, bias in self._layers[:-1]:
            x = torch.tanh(functional.linear(x, weight, bias))
        weight, bias = self._layers[-1]
        return functional.linear(x, weight, bias)


def orthogonal(rows: int, columns: int, gain: float, rng: np.random.Generator) -> Tensor:
    """Return `gain` times a random matrix [rows, columns] with orthonormal rows or columns.

    The Q of a Gaussian matrix's QR, its signs fixed so that it is uniformly distributed.

    Source: Saxe et al. 2014; Mezzadri 2007 for the signs.
    """
    tall, wide = max(rows, columns), min(rows, columns)
    q, r = np.linalg.qr(rng.standard_normal((tall, wide)))
    q = q * np.sign(np.diag(r))
    matrix = q if rows >= columns else q.T
    return torch.tensor(gain * matrix, dtype=torch.float32)


def shared_buffer(parameters: Iterable[nn.Parameter]) -> Tensor | None:
    """Return the buffer that `flatten_parameters` put under all of them, None if there is none."""
    parameters = list(parameters)
    first = parameters[0].detach()
    storage = first.untyped_storage()
    place, elements = storage.data_ptr(), sum(parameter.numel() for parameter in parameters)
    alone = storage.nbytes() == elements * first.element_size()
    if not alone or any(one.untyped_storage().data_ptr() != place for one in parameters):
        return None
    return torch.as_strided(first, (elements,), (1,), 0)


def flatten_parameters(parameters: Iterable[nn.Parameter]) -> tuple[Tensor, Tensor]:
    """Move parameters and gradients into two flat buffers; return (values, gradients), [size] each.

    Every parameter becomes a view of its stretch, so that clipping and Adam are a few operations
    on one array instead of several per layer, which is half the cost of a small minibatch.
    """
    parameters = list(parameters)
    values = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
    gradients = torch.zeros_like(values)
    offset = 0
    for parameter in parameters:
        stretch = slice(offset, offset + parameter.numel())
        parameter.data = values[stretch].view(parameter.shape)
        parameter.grad = gradients[stretch].view(parameter.shape)
        offset = stretch.stop
    return values, gradients
