"""Helpers that several tests share: small worlds, and oracles written as plain loops."""
