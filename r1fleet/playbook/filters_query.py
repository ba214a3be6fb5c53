"""``json_query``: there where jmespath is installed, as with Ansible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

try:
    import jmespath
    from jmespath.exceptions import JMESPathError
except ImportError:
    jmespath = None

from r1fleet.playbook.filters_text import FilterError


def json_query(value: Any, expression: str) -> Any:
    """Look into data with an expression of JMESPath."""
    try:
        return jmespath.search(expression, value)
    except JMESPathError as error:
        raise FilterError(f"JMESPathError in json_query filter plugin:\n{error}") from error


QUERY_FILTERS: Mapping[str, Callable[..., Any]] = {"json_query": json_query} if jmespath else {}
