"""From a YAML file to checked components: strict loader, `--set`, the schema read off the code, the doctor."""
