"""From a YAML file to checked components: a strict loader, `--set`, the schema read off the code, and the config doctor."""
