"""The way from a config file to a checked config: text, `--set` values, schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlcli.config.overrides import apply
from dlcli.config.schema import Config, read_config
from dlcli.config.source import read_text
from dlcli.config.yamlfile import parse


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The config of a file, of a run directory, or of standard input (`-`), with `KEY=VALUE` overrides.

    ConfigError with all problems; UsageError for an override without `=`.
    """
    text, name = read_text(source)
    return parse_config(text, name, overrides)


def parse_config(text: str, source_name: str, overrides: Sequence[str] = ()) -> Config:
    """Like `load_config`, from text; `source_name` stands in messages, and its stem names the run by default."""
    document = parse(text, source_name)
    apply(document, overrides)
    return read_config(document, Path(source_name).stem)
