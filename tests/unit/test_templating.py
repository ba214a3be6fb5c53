"""Templates: what keeps its type, what is undefined, and where an error stands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from r1fleet.errors import Where
from r1fleet.inventory.source import Text, load_yaml_text
from r1fleet.playbook.pairs import parse_pairs
from r1fleet.playbook.scope import CircularVariable, Scope
from r1fleet.playbook.template_files import Marks, render_file
from r1fleet.playbook.templating import TemplateFailed, UndefinedVariable, evaluate, render, render_lazy, truth

VARIABLES = """
none: null
numbers: [1, 2]
lazy: {fine: 1, broken: "{{ absent }}", inner: {list: ["{{ numbers }}", x]}}
alias: "{{ numbers }}"
broken: "{{ absent }}"
a: "{{ b }}"
b: "x{{ c }}"
c: "{{ a }}"
word: text
facts: {stdout: "1.10"}
"""


@pytest.fixture
def scope() -> Scope:
    return Scope([load_yaml_text(VARIABLES, "vars.yaml", "variables"), {"raw": "{{ numbers }}"}], render_lazy)


def template(text: str) -> Text:
    return Text(text, Where("site.yaml", 7, 3))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ numbers }}", [1, 2]),
        ("{{ numbers }}\n", [1, 2]),
        (" {{ numbers }}", " [1, 2]"),
        ("{{ 5 }}", 5),
        ("{{ '5' }}", "5"),
        ("{{ 5 }}5", "55"),
        ("{% if true %}{{ numbers }}{% endif %}", [1, 2]),
        ("{% if false %}x{% endif %}", None),
        ("{{ none }}", None),
        ("x{{ none }}x", "xx"),
        ("a{{ true }}", "aTrue"),
        ("{# note #}{{ 5 }}", 5),
        ("{% set q = 5 %}{{ q }}", 5),
        ("{{ alias | length }}", 2),
        ("{{ lazy.fine }}", 1),
        ("{{ lazy.inner.list[0][1] }}", 2),
        ("{{ lazy.inner }}", {"list": [[1, 2], "x"]}),
        ("{{ broken | default('other') }}", "other"),
        ("{{ absent.deep.deeper | default('other') }}", "other"),
        ("{{ lazy.absent.deep | default(3) }}", 3),
        ("{{ broken is defined }}", False),
        ("{{ raw }}", "{{ numbers }}"),
        ("{{ numbers | map('string') | join('-') }}", "1-2"),
        ("{% for n in numbers %}{{ n }},{% endfor %}", "1,2,"),
        ("{{ facts.stdout is version('1.9', '>') }}", True),
        ("{{ numbers | ansible.builtin.union([2, 3]) }}", [1, 2, 3]),
        ("{{ (1, 2) }}", [1, 2]),
        ("{{ vars['alias'] }}", [1, 2]),
        ("{{ vars.absent | default(0) }}", 0),
    ],
)
def test_rendering(scope: Scope, text: str, value: Any) -> None:
    found = render(template(text), scope)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ absent }}", "'absent' is undefined"),
        ("{{ broken }}", "'absent' is undefined"),
        ("{{ lazy.absent }}", "object of type 'dict' has no attribute 'absent'"),
        ("x{{ absent.deep }}", "'absent' is undefined"),
        ("{{ absent | upper }}", "'absent' is undefined"),
        ("{{ lazy }}", "'absent' is undefined"),
    ],
)
def test_undefined_values_say_their_name_and_place(scope: Scope, text: str, message: str) -> None:
    with pytest.raises(UndefinedVariable) as caught:
        render(template(text), scope)
    assert caught.value.what == message
    assert str(caught.value.where) == "site.yaml:7:3"


def test_an_error_in_the_third_line_of_a_text_stands_there(scope: Scope) -> None:
    with pytest.raises(UndefinedVariable) as caught:
        render(template("one\ntwo\n{{ absent }}x"), scope)
    assert caught.value.where is not None
    assert caught.value.where.line == 9


def test_a_circular_variable_names_its_chain(scope: Scope) -> None:
    with pytest.raises(CircularVariable, match="a -> b -> c -> a"):
        render(template("{{ a }}"), scope)


def test_plain_strings_are_never_templates(scope: Scope) -> None:
    assert render("{{ numbers }}", scope) == "{{ numbers }}"


def test_omit_takes_entries_away(scope: Scope) -> None:
    value = load_yaml_text(
        "{a: '{{ omit }}', b: ['{{ omit }}', 1], c: \"{{ absent | default(omit) }}\"}", "x", "variables"
    )
    assert render(value, scope) == {"b": [1]}


def test_conditions_are_expressions_and_give_booleans(scope: Scope) -> None:
    assert truth(template("numbers | length == 2 and word == 'text'"), scope) is True
    assert truth(template("{{ absent is defined }}"), scope) is False
    assert evaluate(template("numbers[0]"), scope) == 1
    with pytest.raises(TemplateFailed, match="type 'list'"):
        truth(template("numbers"), scope)


def test_wrong_operations_are_errors_with_a_place(scope: Scope) -> None:
    with pytest.raises(TemplateFailed, match="division by zero") as caught:
        render(template("{{ 1 / 0 }}"), scope)
    assert str(caught.value.where) == "site.yaml:7:3"


def test_template_files_trim_blocks_keep_the_last_newline_and_include(scope: Scope, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/item.j2").write_text("<{{ n }}>")
    path = tmp_path / "a.j2"
    path.write_text(
        "  {% for n in numbers %}\n{% include 'parts/item.j2' %}\n{% endfor %}\n[{{ none }}{{ numbers }}]\n"
    )
    assert render_file(path, (), scope) == "  <1><2>[[1, 2]]\n"


def test_template_files_may_mark_expressions_otherwise(scope: Scope, tmp_path: Path) -> None:
    path = tmp_path / "a.tex"
    path.write_text("((word)) {{ word }}")
    marks = Marks(variable_start_string="((", variable_end_string="))")
    assert render_file(path, (), scope, marks) == "text {{ word }}"


def test_an_error_in_an_included_file_stands_in_that_file(scope: Scope, tmp_path: Path) -> None:
    (tmp_path / "inner.j2").write_text("one\n{{ absent }}\n")
    (tmp_path / "a.j2").write_text("{% include 'inner.j2' %}")
    with pytest.raises(UndefinedVariable) as caught:
        render_file(tmp_path / "a.j2", (), scope)
    assert str(caught.value.where) == f"{tmp_path / 'inner.j2'}:2"


def test_a_syntax_error_in_a_file_has_its_line(scope: Scope, tmp_path: Path) -> None:
    (tmp_path / "a.j2").write_text("fine\n{% if %}\n")
    with pytest.raises(Exception, match="template error") as caught:
        render_file(tmp_path / "a.j2", (), scope)
    assert str(caught.value).startswith(f"{tmp_path / 'a.j2'}:2")


def test_long_words_of_one_line_arguments_are_split_at_once() -> None:
    began = time.monotonic()
    pairs, free = parse_pairs(Text(f"name={'a' * 5000} {'b_' * 5000} {{{{ x }}}}_y=1", Where("site.yaml", 1)))
    assert time.monotonic() - began < 5
    assert [*pairs] == ["name", "{{ x }}_y"]
    assert free == "b_" * 5000


def test_one_line_arguments_read_escapes_and_keep_other_backslashes() -> None:
    pairs, _ = parse_pairs(Text(r"regexp='\\b(.+)\\b' replace='\1\n' mark=\x41", Where("site.yaml", 1)))
    assert pairs == {"regexp": r"\b(.+)\b", "replace": "\\1\n", "mark": "A"}


def test_a_template_file_chooses_its_own_marks(tmp_path: Path, scope: Scope) -> None:
    path = tmp_path / "a.j2"
    path.write_text(
        '#jinja2: variable_start_string:"[%", variable_end_string:"%]", trim_blocks:False\n[% word %] {{ x }}\n'
    )
    assert render_file(path, (), scope) == "text {{ x }}\n"
    path.write_text("#jinja2: trim_blocks:True\n\n{{ absent }}\n")
    with pytest.raises(UndefinedVariable, match=r"a\.j2:3"):
        render_file(path, (), scope)
    path.write_text("#jinja2: trim_blocks\n")
    with pytest.raises(TemplateFailed, match="Missing key-value separator"):
        render_file(path, (), scope)


def test_a_template_file_ends_as_it_is_written(tmp_path: Path, scope: Scope) -> None:
    path = tmp_path / "a.j2"
    path.write_text("a\n{{ word }}\n\n")
    assert render_file(path, (), scope) == "a\ntext\n\n"
    assert render_file(path, (), scope, Marks(newline_sequence="\r\n")) == "a\r\ntext\r\n\r\n"


def test_the_line_end_behind_a_block_goes_in_values_as_in_template_files() -> None:
    text = Text("{% for name in names %}\n{{ name }}\n{% endfor %}\n", Where("site.yaml", 1))
    assert render(text, Scope([{"names": ["a", "b"]}], render_lazy)) == "a\nb\n"
