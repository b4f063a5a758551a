"""What every decision shares: logs, worlds, the environments over them, the card, fidelity."""
