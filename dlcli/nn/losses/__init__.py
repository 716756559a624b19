"""The built-in losses, one file each; importing this package registers them all."""

from importlib import import_module
from pathlib import Path

from dlcli.nn.loss import losses

for _file in sorted(Path(__file__).parent.glob("[a-z]*.py")):
    import_module(f"{__name__}.{_file.stem}")

register = losses.register
