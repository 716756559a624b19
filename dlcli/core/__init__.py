"""What every room stands on: errors, registries, options, random streams, the arena and safe files."""
