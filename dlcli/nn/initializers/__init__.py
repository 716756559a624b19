"""The built-in initializers, one family a file; importing this package registers them all."""

from importlib import import_module
from pathlib import Path

from dlcli.nn.initializer import Initializer, as_mapping, fans, initializers
from dlcli.nn.initializers.constants import Constant, Ones, Zeros
from dlcli.nn.initializers.torch_default import TorchDefault

for _file in sorted(Path(__file__).parent.glob("[a-z]*.py")):
    import_module(f"{__name__}.{_file.stem}")

__all__ = ["Constant", "Initializer", "Ones", "TorchDefault", "Zeros", "as_mapping", "fans", "initializers"]
