"""Markdown, reStructuredText, docstrings and HTML as plain paragraphs under their headings; code is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_FENCE = re.compile(r"^[ \t]*(```+|~~~+).*?^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_DOCTEST = re.compile(r"^[ \t]*>>> .*?(?=^[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_DIRECTIVE = re.compile(r"^(\s*)\.\. (?:(?P<name>[\w:-]+)::|[_|\[].*|$)")
_SPOKEN = {
    "note",
    "warning",
    "tip",
    "important",
    "hint",
    "caution",
    "deprecated",
    "versionadded",
    "versionchanged",
}
_RULE = re.compile(r"\s*([=\-~^\"'#*+_.`])\1{2,}\s*")
_INLINE = (
    (re.compile(r"!\[[^\]]*\]\([^)]*\)"), ""),  # picture
    (re.compile(r"\[([^\[\]]*)\](?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\]]*\])"), r"\1"),  # link
    (re.compile(r"^\s*\[[^\]]+\]:\s+\S+.*$", re.MULTILINE), ""),  # target of a link
    (re.compile(r":[\w:]+:`([^`<]*?)(?:\s*<[^`>]*>)?`"), r"\1"),  # role
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?"), r"\1"),  # link
    (re.compile(r"\|[\w-]+\|_{0,2}"), ""),  # substitution
    (re.compile(r"<https?://[^>]*>|</?[a-zA-Z][^<>]*>"), " "),  # bare address, tag
    (re.compile(r"`{1,2}([^`]*)`{1,2}_{0,2}"), r"\1"),
    (re.compile(r"(\*\*|__|(?<![\w*])[*_](?=\w))([^\n*]+?)(\*\*|__|(?<=[\w.])[*_](?![\w*]))"), r"\2"),
    (re.compile(r"https?://\S+"), ""),
)
_BLOCKS = {
    "p",
    "div",
    "li",
    "ul",
    "ol",
    "section",
    "article",
    "br",
    "tr",
    "table",
    "blockquote",
    "dd",
    "dt",
    "main",
}
_SILENT = {"script", "style", "pre", "nav", "head", "template", "svg"}
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text on one line, and the heading it stands under ("" if none)."""

    heading: str
    text: str


def paragraphs_of(text: str, suffix: str) -> list[Paragraph]:
    """Give the paragraphs of a text; `suffix` says how it is marked up: ".html", ".txt", else Markdown or rst."""
    if suffix in (".html", ".htm"):
        text = text_of_html(text)
    elif suffix != ".txt":
        text = _without_code(text)
    return list(_paragraphs(text))


def text_of_html(page: str) -> str:
    """Give the text of a page; headings come out as Markdown's."""
    reader = _HtmlReader()
    reader.feed(page)
    reader.close()
    return "".join(reader.parts)


def _paragraphs(text: str) -> Iterator[Paragraph]:
    heading = ""
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        lines = [line for line in block.split("\n") if line.strip()]
        while lines and (found := _heading_of(lines)):
            heading, used = found
            lines = lines[used:]
        body = _inline("\n".join(_unmarked(line) for line in lines if not _RULE.fullmatch(line)))
        if body:
            yield Paragraph(heading, body)


def _heading_of(lines: list[str]) -> tuple[str, int] | None:
    """Give the heading that the lines begin with and how many lines it takes."""
    if match := re.match(r"\s*#{1,6}\s+(.*?)\s*#*$", lines[0]):
        return _inline(match[1]), 1
    if len(lines) > 1 and _RULE.fullmatch(lines[1]) and not _RULE.fullmatch(lines[0]) and len(lines[0]) < 90:
        return _inline(lines[0]), 2
    if len(lines) > 2 and _RULE.fullmatch(lines[0]) and _RULE.fullmatch(lines[2]):
        return _inline(lines[1]), 3
    return None


def _unmarked(line: str) -> str:
    """Take list marks and table bars off a line."""
    line = re.sub(r"^\s*(?:[-*+•]|\d{1,2}[.)]|>|\|)\s+", "", line)
    if line.count("|") >= 2:
        line = ", ".join(cell.strip() for cell in line.split("|") if cell.strip(" -:"))
    return line


def _inline(text: str) -> str:
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return " ".join(unescape(text).split())


def _without_code(text: str) -> str:
    text = _DOCTEST.sub("", _FENCE.sub("", _COMMENT.sub("", text)))
    return "\n".join(_without_directives(text.split("\n")))


def _without_directives(lines: list[str]) -> Iterator[str]:
    """Leave out directives and literal blocks with what is indented below them; keep notes and warnings."""
    outer: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if outer is not None and (not line.strip() or indent > outer):
            continue
        outer = None
        match = _DIRECTIVE.match(line)
        if match and match["name"] in _SPOKEN:
            yield line[match.end() :]
        elif match:
            outer = indent
        elif line.rstrip().endswith("::"):
            yield line.rstrip()[:-1]
            outer = indent
            yield ""
        else:
            yield line


class _HtmlReader(HTMLParser):
    """Collects the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in _SILENT
        if tag in _HEADINGS:
            self.parts.append("\n\n# ")
        elif tag in _BLOCKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        if tag in _HEADINGS or tag in _BLOCKS:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(" ".join(data.split()) + " " if data.strip() else " ")
