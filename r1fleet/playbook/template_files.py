"""Renders template files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import jinja2

from r1fleet.errors import Where
from r1fleet.inventory import vault
from r1fleet.playbook.compiling import syntax_error
from r1fleet.playbook.environment import TextEnvironment
from r1fleet.playbook.lookups_files import newlines_kept, own_marks
from r1fleet.playbook.scope import Scope
from r1fleet.playbook.templating import COMPUTED, TemplateFailed, UndefinedVariable, said


@dataclass(frozen=True, slots=True)
class Marks:
    """How a template file marks its expressions; the fields are those of Ansible's template action."""

    trim_blocks: bool = True
    lstrip_blocks: bool = False
    newline_sequence: str = "\n"
    block_start_string: str = "{%"
    block_end_string: str = "%}"
    variable_start_string: str = "{{"
    variable_end_string: str = "}}"
    comment_start_string: str = "{#"
    comment_end_string: str = "#}"
    line_statement_prefix: str | None = None
    line_comment_prefix: str | None = None


def render_file(path: Path, folders: tuple[Path, ...], scope: Scope, marks: Marks | None = None) -> str:
    """Return the text of a template file; ``folders`` are where its includes are looked up."""
    wanted = marks or Marks()
    try:
        wanted = replace(wanted, **_said_inside(path))
        loader = _file_environment((path.parent, *folders), wanted)
        template = loader.get_template(path.name)
        text = "".join(template.root_render_func(template.new_context(scope)))  # type: ignore[arg-type]
        return newlines_kept(text, loader.source(path.name), wanted.newline_sequence)
    except jinja2.TemplateSyntaxError as error:
        name = str(error.filename or path)
        raise syntax_error(error, Where(name, 1 + _unseen(name))) from error
    except jinja2.TemplateNotFound as error:
        raise TemplateFailed(f"template {error.name} not found", where=Where(str(path))) from error
    except jinja2.UndefinedError as error:
        raise UndefinedVariable(str(error.message), where=_place(error.__traceback__) or Where(str(path))) from error
    except UnicodeDecodeError as error:
        raise TemplateFailed("the template is not UTF-8 text", where=Where(str(path))) from error
    except jinja2.TemplateError as error:
        raise TemplateFailed(str(error.message), where=_place(error.__traceback__) or Where(str(path))) from error
    except COMPUTED as error:
        raise TemplateFailed(said(error), where=_place(error.__traceback__) or Where(str(path))) from error


def _said_inside(path: Path) -> dict[str, Any]:
    """Return the marks that a template's own first line chooses."""
    return own_marks(vault.plain_text(path.read_text(encoding="utf-8"), Where(str(path), 1)))[1]


class _Files(jinja2.FileSystemLoader):
    """Reads template files, encrypted ones, too."""

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Return a template's text and its path."""
        text, path, unchanged = super().get_source(environment, template)
        return own_marks(vault.plain_text(text, Where(path, 1)))[0], path, unchanged


class _FileEnvironment(TextEnvironment):
    def source(self, name: str) -> str:
        """Return a template's own text."""
        return "" if self.loader is None else self.loader.get_source(self, name)[0]


@cache
def _file_environment(folders: tuple[Path, ...], marks: Marks) -> _FileEnvironment:
    options = {name: getattr(marks, name) for name in Marks.__dataclass_fields__}
    return _FileEnvironment(loader=_Files(folders), **options)


def _place(trace: TracebackType | None) -> Where | None:
    found = None
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None and template.filename not in {None, "<template>", "<unknown>"}:
            line = template.get_corresponding_lineno(trace.tb_lineno)
            found = Where(template.filename, line + _unseen(template.filename))
        trace = trace.tb_next
    return found


def _unseen(name: str) -> int:
    """Return how many lines at a file's top Jinja2 never saw."""
    return 1 if own_marks(vault.plain_text(Path(name).read_text(encoding="utf-8"), Where(name, 1)))[1] else 0
