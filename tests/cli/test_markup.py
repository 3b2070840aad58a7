from __future__ import annotations

from bge_components.cli.demo.markup import Paragraph, paragraphs_of


def texts(source: str, suffix: str = ".md") -> list[str]:
    return [paragraph.text for paragraph in paragraphs_of(source, suffix)]


def test_markdown_links_pictures_emphasis_and_code_spans_become_plain_words():
    source = "See [the *guide*](https://x.org/a_(b)) and `run()`, **now**. ![badge](https://x.org/b.svg)"
    assert texts(source) == ["See the guide and run(), now."]


def test_words_with_underscores_and_stars_stay_whole():
    assert texts("Set max_split_size and some_other_name to 2 * 3 * 4.") == [
        "Set max_split_size and some_other_name to 2 * 3 * 4."
    ]


def test_headings_of_both_kinds_name_the_paragraphs_below_them():
    source = "# First\n\nOne.\n\nSecond\n------\nTwo.\n\n======\nThird\n======\n\nThree."
    assert paragraphs_of(source, ".md") == [
        Paragraph("First", "One."),
        Paragraph("Second", "Two."),
        Paragraph("Third", "Three."),
    ]


def test_fenced_code_doctests_and_comments_are_left_out():
    source = (
        "Before.\n\n```python\nx = 1\n\ny = 2\n```\n\n>>> 1 + 1\n2\n\n<!-- Copyright\n\nhidden -->\n\nAfter."
    )
    assert texts(source) == ["Before.", "After."]


def test_directives_go_with_what_is_indented_below_them_but_notes_stay():
    source = (
        "Start.\n\n.. image:: a.png\n   :target: b\n\n   caption\n\n.. note::\n   Mind the gap.\n\n"
        "Example::\n\n    code here\n\n    more code\n\nEnd with :class:`~a.B` and `link <http://x>`_."
    )
    assert texts(source, ".rst") == ["Start.", "Mind the gap.", "Example:", "End with ~a.B and link."]


def test_lists_lose_their_marks_and_tables_their_bars():
    assert texts("- one\n- two\n\n| a | b |\n|---|---|\n| c | d |") == ["one two", "a, b c, d"]


def test_html_gives_text_under_headings_without_scripts_and_code():
    page = (
        "<html><head><title>t</title></head><body><h2>Install</h2><p>Use &amp; enjoy <b>it</b>.</p>"
        "<script>x()</script><pre>code</pre><ul><li>First</li><li>Second</li></ul></body></html>"
    )
    assert paragraphs_of(page, ".html") == [
        Paragraph("Install", "Use & enjoy it ."),
        Paragraph("Install", "First"),
        Paragraph("Install", "Second"),
    ]


def test_plain_text_keeps_what_looks_like_a_directive():
    assert texts("He said::\n\n    this stays", ".txt") == ["He said::", "this stays"]


def test_windows_line_ends_separate_paragraphs_too():
    assert texts("One.\r\n\r\nTwo.", ".txt") == ["One.", "Two."]


def test_an_empty_text_has_no_paragraph():
    assert texts("") == []
    assert texts("\n \n\t\n") == []
