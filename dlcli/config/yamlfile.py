"""The strict YAML subset of config files: every value with its line and column, and no surprises.

A document is mappings, lists and scalars only: no anchors, aliases, merge keys, tags or directives, no key twice, at
most `MAX_DEPTH` levels and `MAX_NODES` values. Numbers and booleans are those of YAML 1.2 without its octal, hex,
infinite and NaN forms, so `no`, `0x80`, `1_000` and `2024-01-02` stay text for the schema to refuse by name.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.events import AliasEvent, ScalarEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner
from yaml.tokens import DirectiveToken

from dlcli.config.document import Document, Mark, Path, dotted, fail
from dlcli.core.errors import ConfigError, quote

MAX_DEPTH = 32
MAX_NODES = 20_000

_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_CONSTANTS = {"true": True, "false": False, "null": None, "~": None, "": None}

FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""Control characters, and line separators that editors do not count as lines."""

_CONFLICT = re.compile(r"^(<<<<<<< |=======$|>>>>>>> )", re.MULTILINE)

_PLAINER = (
    ("cannot start any token", r"found character '\\t'", "a tab cannot indent; use spaces"),
    ("cannot start any token", "", "a value cannot start with this character; put the text in quotes"),
    (
        "mapping values are not allowed",
        "",
        "unexpected ':'; indent the keys of one mapping alike, put a space after each ':', and quote text with ': '",
    ),
    ("could not find expected ':'", "", "a key without ': ' and a value"),
    ("unexpected end of stream", "", "a quote is opened and not closed"),
    ("expected ',' or '}'", "", "'{' is not closed by '}', or a comma is missing"),
    ("expected ',' or ']'", "", "'[' is not closed by ']', or a comma is missing"),
    ("expected the node content", "", "a value is missing before this"),
    ("but found ':'", "expected <block end>", "a key is missing before ':'"),
    ("expected <block end>", "", "the indentation does not fit the lines above"),
    (
        "",
        "expected '<document start>'",
        "text after the end of the config; a config is lines of 'key: value'",
    ),
    ("but found another document", "", "a second document starts here; a config is one document"),
)
"""What the parser says (two parts), and what that means to the author of a config."""


def scalar(text: str) -> Any:
    """What an unquoted scalar means: a bool, None, an int, a float, or the text itself."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's parser in pure Python, without the constructor and with nothing that refers or names a type."""

    def __init__(self, text: str, source: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self.document = Document(None, source)
        self.problems: list[tuple[Mark, str]] = []
        self.depth = self.nodes = 0

    def at(self, mark: Any, raw: str | None = None) -> Mark:
        line, column = mark.line + 1, mark.column + 1
        return Mark(line, column, f"{self.document.source}:{line}:{column}", raw)

    def problem(self, mark: Any, message: str) -> None:
        self.problems.append((self.at(mark), message))

    def process_directives(self) -> Any:
        if self.check_token(DirectiveToken):
            token = self.peek_token()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem="directives are not allowed; remove this line", problem_mark=token.start_mark
            )
        return super().process_directives()  # type: ignore[no-untyped-call]

    def compose_node(self, parent: Node | None, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        self.nodes += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)
        if self.nodes > MAX_NODES:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_NODES:,} values", problem_mark=event.start_mark)
        is_alias = isinstance(event, AliasEvent)
        if is_alias:
            self.problem(
                event.start_mark, f"alias {quote('*' + event.anchor)}: aliases are not allowed; write the value out"
            )
            self.get_event()  # type: ignore[no-untyped-call]
            node: Any = ScalarNode("", "", event.start_mark, event.end_mark)
        else:
            if event.anchor is not None:
                self.problem(
                    event.start_mark, f"anchor {quote('&' + event.anchor)}: anchors are not allowed; remove it"
                )
            if event.tag is not None:
                written = event.tag.replace("tag:yaml.org,2002:", "!!")
                self.problem(event.start_mark, f"tag {quote(written)}: tags are not allowed; remove it")
            event.anchor = event.tag = None
            if isinstance(event, ScalarEvent):
                event.implicit = (True, True)
            node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct(self, node: Any, path: Path) -> Any:
        """The Python value of a node; notes its mark, and every problem on the way."""
        self.document.marks[path] = self.at(node.start_mark, node.value if isinstance(node, ScalarNode) else None)
        if isinstance(node, SequenceNode):
            return [self.construct(child, (*path, i)) for i, child in enumerate(node.value)]
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        if node.style is not None:
            return self.text(node)
        value = scalar(node.value)
        if isinstance(value, float) and not math.isfinite(value):
            where = f"{dotted(path)}: " if path else ""
            self.problem(node.start_mark, f"{where}got {quote(node.value)}, expected a number of at most 1.8e308")
        return value

    def mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.problem(key_node.start_mark, "a key is a list or mapping, expected a name")
                continue
            key = self.text(key_node)
            if key == "<<" and key_node.style is None:
                self.problem(key_node.start_mark, "merge keys are not allowed; write the values out")
            elif key in result:
                first = self.document.keys[(*path, key)].line
                self.problem(
                    key_node.start_mark, f"key {quote(key)} is there already, in line {first}; remove one of them"
                )
            else:
                self.document.keys[(*path, key)] = self.at(key_node.start_mark)
                result[key] = self.construct(value_node, (*path, key))
        return result

    def text(self, node: ScalarNode) -> str:
        """The text of a scalar, with the escaped surrogate pairs that JSON writes joined."""
        try:
            value = node.value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            value = "\0"
        if "\0" in value:
            self.problem(node.start_mark, "the text holds a character that no text may hold (NUL or half a pair)")
        return str(value)


def _plainer(error: yaml.MarkedYAMLError) -> str:
    said = error.problem or error.context or "not valid YAML"
    for end, start, meaning in _PLAINER:
        if end in said and re.match(start, said):
            return meaning
    return said


def parse(text: str, source: str) -> Document:
    """Parse `text`; ConfigError with every problem as `source:LINE:COL: ...`."""
    for pattern, message in (
        (FORBIDDEN, "character {} is not allowed in a config"),
        (_CONFLICT, "a merge conflict is left at {}; resolve it"),
    ):
        found = pattern.search(text)
        if found:
            line = text.count("\n", 0, found.start()) + 1
            column = found.start() - text.rfind("\n", 0, found.start())
            raise ConfigError(f"{source}:{line}:{column}: " + message.format(quote(found[0].strip() or found[0])))
    loader = _Loader(text, source)
    try:
        node = loader.get_single_node()
        if node is not None:
            loader.document.value = loader.construct(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        loader.problem(mark, _plainer(error))
    except (ValueError, OverflowError):  # from an escape such as \UFFFFFFFF
        loader.problem(loader.get_mark(), "an escape in a quoted text names no character")
    fail(loader.problems)
    return loader.document
