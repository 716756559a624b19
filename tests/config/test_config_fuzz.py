"""Mistyped names get the right suggestion, and mangled configs raise nothing but ConfigError."""

import random
import string

from small_config import TEXT

from dlcli.config.load import parse_config
from dlcli.config.reader import component_options, section_options
from dlcli.config.schema import Checkpoint, Config, Data, EarlyStopping, Train
from dlcli.core.errors import ConfigError, suggest
from dlcli.core.registry import Registry


def one_edit(word: str, rng: random.Random) -> str:
    i, letter = rng.randrange(len(word)), rng.choice(string.ascii_lowercase)
    swapped = word[:i] + word[i : i + 2][::-1] + word[i + 2 :]
    return rng.choice(
        [word[:i] + word[i + 1 :], word[:i] + letter + word[i:], word[:i] + letter + word[i + 1 :], swapped]
    )


def known_names() -> list[tuple[str, list[str]]]:
    """Every key and component name, with the names beside it."""
    groups = [[o.name for o in section_options(cls)] for cls in (Config, Data, Train, Checkpoint, EarlyStopping)]
    for registry in Registry.all.values():
        entries = registry.entries()
        groups.append([e.name for e in entries])
        groups += [[o.name for o in component_options(e, registry)] for e in entries]
    return [(name, group) for group in groups for name in group]


def test_one_edit_is_recognised():
    rng = random.Random(0)
    tried = right = 0
    for name, group in known_names():
        for _ in range(5):
            typo = one_edit(name, rng)
            if typo not in group and len(name) > 2:
                tried += 1
                right += suggest(typo, group) == f"did you mean '{name}'?"
    assert tried > 500
    assert right / tried >= 0.95, (right, tried)


PIECES = [
    *"{}[]:'\"#\t\0?|>%@\\\n\ud800é",
    *(
        "- ",
        "  ",
        "&a ",
        "*a",
        "!!int ",
        "1e999",
        "null",
        "true",
        "-1",
        "<<: ",
        "---\n",
        "9" * 30,
        "ReLU",
        "Linear: {}",
    ),
]


def mutated(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 4)):
        i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        kind = rng.randrange(4)
        if kind == 0:
            text = text[:i] + rng.choice(PIECES) + text[i:]
        elif kind == 1:
            text = text[:i] + text[min(j, i + rng.randint(1, 8)) :]
        elif kind == 2:
            text = text[:i] + text[j:] + text[i:j]
        else:
            text = text[:i] + chr(rng.choice([rng.randrange(32, 127), rng.randrange(0x300)])) + text[i + 1 :]
    return text


def test_mutated_configs_raise_nothing_but_config_errors():
    rng = random.Random(1)
    wrong = []
    for _ in range(2000):
        try:
            parse_config(mutated(TEXT, rng), "c.yaml")
        except ConfigError as error:
            wrong.append(error)
    assert len(wrong) > 1000
    lines = [line for error in wrong for line in error.lines()]
    assert all(line.startswith("error: ") and len(line) <= 400 and line.isprintable() for line in lines)
