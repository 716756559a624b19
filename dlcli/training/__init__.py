"""Training, evaluation, metrics and checkpoints; nothing here knows YAML or the terminal."""
