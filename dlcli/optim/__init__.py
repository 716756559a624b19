"""The built-in optimizers and schedules, one file each; importing this package registers them all."""

from importlib import import_module
from pathlib import Path

for _folder in ("", "schedules"):
    for _file in sorted((Path(__file__).parent / _folder).glob("[a-z]*.py")):
        import_module(".".join(filter(None, (__name__, _folder, _file.stem))))
