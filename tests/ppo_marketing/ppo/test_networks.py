from __future__ import annotations

import numpy as np
import pytest
import torch

from ppo_marketing.ppo.networks import Perceptron, flatten_parameters, orthogonal


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (3, 7), (7, 3), (1, 5)])
def test_orthogonal_matrices_are_orthogonal_and_scaled(
    rows: int, columns: int, rng: np.random.Generator
) -> None:
    matrix = orthogonal(rows, columns, 2.0, rng)
    assert matrix.shape == (rows, columns)
    gram = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    torch.testing.assert_close(gram, 4.0 * torch.eye(min(rows, columns)), atol=1e-5, rtol=0)


def test_a_perceptron_is_tanh_layers_and_a_linear_one(rng: np.random.Generator) -> None:
    network = Perceptron(3, (5, 4), 2, last_gain=0.7, rng=rng)
    x = rng.normal(size=(6, 3)).astype(np.float32)
    w = [weight.detach().numpy() for weight in network.weights]
    b = [bias.detach().numpy() for bias in network.biases]
    expected = np.tanh(np.tanh(x @ w[0].T + b[0]) @ w[1].T + b[1]) @ w[2].T + b[2]
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach(), expected, atol=1e-5)


def test_flat_buffers_hold_the_gradients_of_backward(rng: np.random.Generator) -> None:
    network = Perceptron(3, (5,), 1, last_gain=1.0, rng=rng)
    x = torch.from_numpy(rng.normal(size=(8, 3)).astype(np.float32))
    parameters = list(network.parameters())
    expected = torch.cat(
        [g.reshape(-1) for g in torch.autograd.grad(network(x).square().mean(), parameters)]
    )
    values, gradients = flatten_parameters(parameters)
    torch.autograd.backward(network(x).square().mean())
    torch.testing.assert_close(gradients, expected)
    values.zero_()
    assert float(network(x).detach().abs().sum()) == 0.0
