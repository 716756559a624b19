"""Layers, losses and initializers with explicit forward and backward passes; usable without a config."""
