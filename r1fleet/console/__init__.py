"""Events, rendered for people and for programs."""

from r1fleet.console.choose import KINDS, renderer
from r1fleet.console.errors import render_error
from r1fleet.console.interface import Renderer
from r1fleet.console.jsonlines import JsonRenderer

__all__ = ["KINDS", "JsonRenderer", "Renderer", "render_error", "renderer"]
