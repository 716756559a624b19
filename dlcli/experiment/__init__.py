"""From a config to objects, a run directory, training and files; the only room that knows all others."""
