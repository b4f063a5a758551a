"""A perceptron on one tile of rows: its outputs, and the gradient of its parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ppo_marketing.ppo.fused.compiled import Floats, Ints, njit, tanh


class Net(NamedTuple):
    """Where a perceptron of L layers lies in the flat buffer of all parameters."""

    sizes: Ints  # [L + 1] inputs, widths of the hidden layers, outputs
    weights: Ints  # [L] first element of each layer's matrix [width, inputs]
    biases: Ints  # [L]


@njit
def layer_rows(hidden: Floats, net: Net, layer: int, count: int) -> Any:
    """Return the outputs [count, width] of a layer, a view of `hidden [L, TILE * widest]`."""
    width = net.sizes[layer + 1]
    return hidden[layer, : count * width].reshape(count, width)


@njit
def _matrix(flat: Floats, net: Net, layer: int) -> Any:
    rows, columns, first = net.sizes[layer + 1], net.sizes[layer], net.weights[layer]
    return flat[first : first + rows * columns].reshape(rows, columns)


# Elementwise loops are functions of their own: inside their callers they were not vectorised.
@njit
def _add_bias(out: Any, bias: Any) -> None:
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] += bias[column]


@njit
def _add_bias_and_squash(out: Any, bias: Any) -> None:
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] = tanh(out[row, column] + bias[column])


@njit
def add(target: Any, source: Any) -> None:
    """Add `source [n]` to `target [n]`."""
    for i in range(target.shape[0]):
        target[i] += source[i]


@njit
def _add_rows(target: Any, source: Any) -> None:
    for row in range(source.shape[0]):
        for column in range(source.shape[1]):
            target[column] += source[row, column]


@njit
def _through_tanh(passed: Any, output: Any) -> None:
    """Multiply by the slope of tanh, 1 - tanh², given its output."""
    for row in range(passed.shape[0]):
        for column in range(passed.shape[1]):
            passed[row, column] *= np.float32(1.0) - output[row, column] * output[row, column]


@njit
def forward(flat: Floats, net: Net, x: Any, hidden: Floats) -> Any:
    """Return the outputs [count, outputs] for `x [count, inputs]`; layers stay in `hidden`."""
    count, layers = len(x), len(net.weights)
    inputs = x
    for layer in range(layers):
        out = layer_rows(hidden, net, layer, count)
        np.dot(inputs, _matrix(flat, net, layer).T, out)
        first, width = net.biases[layer], net.sizes[layer + 1]
        bias = flat[first : first + width]
        if layer == layers - 1:
            _add_bias(out, bias)
        else:
            _add_bias_and_squash(out, bias)
        inputs = out
    return inputs


@njit
def backward(
    flat: Floats,
    net: Net,
    x: Any,
    hidden: Floats,
    delta: Floats,
    spare: Floats,
    product: Floats,
    gradient: Floats,
) -> None:
    """Add the gradient of every weight and bias, given that of the outputs.

    `delta [TILE * widest]` holds the loss's gradient by the outputs, [count, outputs], and is
    overwritten, as are `spare` (of the same size) and `product` (of the largest matrix).
    """
    count = len(x)
    above, below = delta, spare
    for layer in range(len(net.weights) - 1, -1, -1):
        width, columns = net.sizes[layer + 1], net.sizes[layer]
        error = above[: count * width].reshape(count, width)
        inputs = x if layer == 0 else layer_rows(hidden, net, layer - 1, count)
        size, first = width * columns, net.weights[layer]
        np.dot(error.T, inputs, product[:size].reshape(width, columns))
        add(gradient[first : first + size], product[:size])
        first = net.biases[layer]
        _add_rows(gradient[first : first + width], error)
        if layer > 0:
            passed = below[: count * columns].reshape(count, columns)
            np.dot(error, _matrix(flat, net, layer), passed)
            _through_tanh(passed, inputs)
            above, below = below, above


def widest(*nets: Net) -> int:
    """Return the width of the widest layer, inputs included."""
    return max(int(net.sizes.max()) for net in nets)


def largest_matrix(*nets: Net) -> int:
    """Return the elements of the largest weight matrix."""
    return max(int((net.sizes[1:] * net.sizes[:-1]).max()) for net in nets)
