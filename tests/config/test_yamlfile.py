"""The YAML subset: what it accepts, what it refuses with which words, and that nothing else ever comes out of it."""

import json
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dlcli.config.document import MAX_PROBLEMS
from dlcli.config.resolved import flow
from dlcli.config.yamlfile import FORBIDDEN, parse
from dlcli.core.errors import ConfigError

ACCEPTED = [
    ("a: 1e-3", 0.001),
    ("a: 1E3", 1000.0),
    ("a: 1.", 1.0),
    ("a: .5", 0.5),
    ("a: -0.0", -0.0),
    ("a: +7", 7),
    ("a: 64.0", 64.0),
    ("a: true", True),
    ("a: ~", None),
    ("a: null", None),
    ("a:", None),
    ("a: 'true'", "true"),
    ('a: "1"', "1"),
    ("a: no", "no"),
    ("a: yes", "yes"),
    ("a: on", "on"),
    ("a: True", "True"),
    ("a: 0128", "0128"),
    ("a: 0o17", "0o17"),
    ("a: 0x80", "0x80"),
    ("a: 0b_", "0b_"),
    ("a: 1_000", "1_000"),
    ("a: 1:30", "1:30"),
    ("a: .inf", ".inf"),
    ("a: .nan", ".nan"),
    ("a: nan", "nan"),
    ("a: 2024-01-02", "2024-01-02"),
    ("a: 1e-3x", "1e-3x"),
    ("a: " + "9" * 5000, "9" * 5000),
    ("a: 1\r\n", 1),
    ("--- \na: 1\n...\n", 1),
    ('{"a": 1}', 1),
    ('{"a":"\\ud83d\\ude00"}', "😀"),
]


@pytest.mark.parametrize(("text", "value"), ACCEPTED, ids=[text[:20] for text, _ in ACCEPTED])
def test_values(text, value):
    loaded = parse(text, "F").value["a"]
    assert loaded == value
    assert type(loaded) is type(value)


REFUSED = [
    ("a: 1\n\tb: 2", "F:2:1: a tab cannot indent; use spaces"),
    ("a: [1, 2", "F:1:9: '[' is not closed by ']', or a comma is missing"),
    ("a: {b: 2", "F:1:9: '{' is not closed by '}', or a comma is missing"),
    ("a: 'x", "F:1:6: a quote is opened and not closed"),
    ("a: 1\n---\nb: 2", "F:2:1: a second document starts here; a config is one document"),
    ("a: {lr: 1, 'lr': 2}", "F:1:12: key 'lr' is there already, in line 1; remove one of them"),
    ("a: 1\nb: 2\na: 3", "F:3:1: key 'a' is there already, in line 1; remove one of them"),
    ("a: 1e400", "F:1:4: a: got '1e400', expected a number of at most 1.8e308"),
    ("a: &x 1", "F:1:4: anchor '&x': anchors are not allowed; remove it"),
    ("a: *x", "F:1:4: alias '*x': aliases are not allowed; write the value out"),
    ("<<: {a: 1}", "F:1:1: merge keys are not allowed; write the values out"),
    ("a: !foo 1", "F:1:4: tag '!foo': tags are not allowed; remove it"),
    ("a: !!int abc", "F:1:4: tag '!!int': tags are not allowed; remove it"),
    (
        "a: !!python/object/apply:os.system [x]",
        "F:1:4: tag '!!python/object/apply:os.system': tags are not allowed; remove it",
    ),
    ("a: " + "[" * 40, "F:1:35: nested deeper than 32 levels"),
    ("? [a]\n: 1", "F:1:3: a key is a list or mapping, expected a name"),
    ("%YAML 2.0\n---\na: 1", "F:1:1: directives are not allowed; remove this line"),
    ("%FOO\n---\na: 1", "F:1:1: directives are not allowed; remove this line"),
    ("<<<<<<< HEAD\na: 1", "F:1:1: a merge conflict is left at '<<<<<<<'; resolve it"),
    ("[data]\nlr = 1", "F:2:1: text after the end of the config; a config is lines of 'key: value'"),
    (
        "a:1\nb: 2",
        "F:2:2: unexpected ':'; indent the keys of one mapping alike, put a space after each ':', "
        "and quote text with ': '",
    ),
    ("a: @x", "F:1:4: a value cannot start with this character; put the text in quotes"),
    ("a:\n  - 1\n b: 2", "F:3:2: the indentation does not fit the lines above"),
    ("a: x\0", "F:1:5: character '\\x00' is not allowed in a config"),
    ("a: x\u2028", "F:1:5: character '\\u2028' is not allowed in a config"),
    ('a: "\\0"', "F:1:4: the text holds a character that no text may hold (NUL or half a pair)"),
    ('a: "\\ud800"', "F:1:4: the text holds a character that no text may hold (NUL or half a pair)"),
    ('a: "\\UFFFFFFFF"', "F:1:7: an escape in a quoted text names no character"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_refused(text, message):
    with pytest.raises(ConfigError) as error:
        parse(text, "F")
    assert error.value.problems == [message]


def test_all_problems_come_at_once_by_line():
    with pytest.raises(ConfigError) as error:
        parse("a: *x\nb: !t 1\nb: 1e999\nc: 1e999\n", "F")
    assert [p.split(": ")[0] for p in error.value.problems] == ["F:1:4", "F:2:4", "F:3:1", "F:4:4"]
    with pytest.raises(ConfigError) as error:
        parse("\n".join(f"k{i}: *x" for i in range(50)), "F")
    assert len(error.value.problems) == MAX_PROBLEMS + 1
    assert error.value.problems[-1] == "and 30 more problems like these"


def test_every_value_and_key_has_its_place():
    document = parse("a:\n  - 1\n  - {b: 2}\n", "F")
    assert document.where(("a", 1, "b")) == "F:3:9"
    assert document.where(("a", 1, "b"), key=True) == "F:3:6"
    assert document.where(("a", 1, "b", "deeper", 5)) == "F:3:9"
    assert document.mark(("a", 0)).raw == "1"


LAUGHS = "a: &a [x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi"))  # noqa: B905
HUGE = [
    LAUGHS,
    "[" * 100_000,
    "{" * 2_000,
    "- " * 100_000,
    "? " * 100_000,
    "- ReLU\n" * 140_000,
    "a: [" + "1," * 400_000,
    "'" * 900_001,
    "!" * 900_000,
]


@pytest.mark.parametrize("text", HUGE, ids=lambda text: text[:10])
def test_bombs_are_refused_quickly(text):
    start = time.process_time()
    with pytest.raises(ConfigError):
        parse(text, "F")
    assert time.process_time() - start < (0.05 if text is LAUGHS else 3)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**19) + 1, 10**19 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(TEXTS, v, max_size=4), max_leaves=12)


@given(VALUES)
def test_what_is_written_loads_as_it_was(value):
    assert repr(parse(flow(value), "F").value) == repr(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_survives_its_repr(x):
    loaded = parse(f"x: {x!r}", "F").value["x"]
    assert loaded.hex() == x.hex()


@given(st.dictionaries(TEXTS, VALUES, max_size=4), st.sampled_from([None, 2]), st.booleans())
def test_agrees_with_json(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    # Outside escapes a few characters are refused, such as control characters and line separators.
    assume(ascii_only or not FORBIDDEN.search(text))
    assert repr(parse(text, "F").value) == repr(json.loads(text))
