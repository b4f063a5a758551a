"""The analysts' app: shows what the engine found, computes nothing."""
