"""Read which options an engine's command takes, from the Python sources in its published wheel."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

Options = Mapping[str, bool]
"""The options by name, without dashes; true where the option has a ``--no-`` form, too."""


def download(package: str, version: str, folder: Path) -> Path:
    """Bring the wheel of a package into a folder, with pip."""
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
    wanted = ("--only-binary", ":all:", "--dest", str(folder), f"{package}=={version}")
    subprocess.run((*pip, *wanted), check=True, capture_output=True)
    return next(folder.glob(f"{package.replace('-', '_')}-{version}-*.whl"))


class Wheel:
    """The parsed sources of one wheel."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)

    def tree(self, name: str) -> ast.Module:
        return ast.parse(self._archive.read(name).decode("utf-8"))

    def under(self, folder: str) -> list[str]:
        return [name for name in self._archive.namelist() if name.startswith(folder) and name.endswith(".py")]

    def close(self) -> None:
        self._archive.close()


def sglang(wheel: Wheel) -> Options:
    """Read SGLang's: calls of ``add_argument``, and in later versions annotated fields."""
    found = dict(_calls(wheel.tree("sglang/srt/server_args.py")))
    for name in wheel.under("sglang/cli/serve.py"):
        found.update(_calls(wheel.tree(name)))
    for name in wheel.under("sglang/srt/arg_groups/fields/"):
        for node in ast.walk(wheel.tree(name)):
            if isinstance(node, ast.AnnAssign) and _named(node.annotation) == "A":
                found.update(_field(node))
    return found


def vllm(wheel: Wheel) -> Options:
    """Read vLLM's `serve`: calls of ``add_argument``, and the fields of the front end's arguments."""
    engine = wheel.tree("vllm/engine/arg_utils.py")
    front = wheel.tree("vllm/entrypoints/openai/cli_args.py")
    fields = [*_annotations(engine), *_annotations(front)]
    flags = frozenset(name.replace("_", "-") for name, kind in fields if "bool" in kind)
    found = dict(_calls(engine, flags)) | dict(_calls(front, flags))
    if any(isinstance(node, ast.Name) and node.id == "get_kwargs" for node in ast.walk(engine)):
        found |= {name.replace("_", "-"): "bool" in kind for name, kind in _annotations(front)}
    return found


def lmdeploy(wheel: Wheel) -> Options:
    """Read LMDeploy's `serve api_server`, which adds most of its options through functions of their own."""
    shared = {
        node.name: dict(_calls(node))
        for node in ast.walk(wheel.tree("lmdeploy/cli/utils.py"))
        if isinstance(node, ast.FunctionDef)
    }
    serve = next(
        node
        for node in ast.walk(wheel.tree("lmdeploy/cli/serve.py"))
        if isinstance(node, ast.FunctionDef) and node.name == "add_parser_api_server"
    )
    found = dict(_calls(serve))
    for node in ast.walk(serve):
        if isinstance(node, ast.Attribute) and _named(node) == "ArgumentHelper":
            found.update(shared.get(node.attr, {}))
    return found


def transformers(wheel: Wheel) -> Options:
    """Read those of `transformers serve`: the parameters of its command, which typer turns into options."""
    tree = wheel.tree("transformers/cli/serve.py")
    begin = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    return {
        parameter.arg.replace("_", "-"): "bool" in ast.unparse(parameter.annotation)
        for parameter in begin.args.args
        if parameter.annotation is not None and "typer.Option(" in ast.unparse(parameter.annotation)
    }


READERS: Mapping[str, Callable[[Wheel], Options]] = {
    "sglang": sglang,
    "vllm": vllm,
    "lmdeploy": lmdeploy,
    "transformers": transformers,
}


def table(engine: str, version: str, options: Options) -> str:
    """Write the options as a packaged table."""
    rows = [f"{name} switch" if switch else name for name, switch in sorted(options.items())]
    head = f"# Options of {engine} {version}, read from its argument definitions; a switch also has a --no- form."
    return "\n".join([head, *rows, ""])


def _calls(tree: ast.AST, flags: frozenset[str] = frozenset()) -> Iterator[tuple[str, bool]]:
    """Yield the long options added one by one; ``flags`` are switches where their settings come from a field."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            words = [str(word.value) for word in node.args if isinstance(word, ast.Constant)]
            names = [word.removeprefix("--").replace("_", "-") for word in words if word.startswith("--")]
            switch = any("BooleanOptionalAction" in ast.unparse(word.value) for word in node.keywords)
            spread = any(word.arg is None for word in node.keywords)
            yield from ((name, switch or (spread and not flags.isdisjoint(names))) for name in names)


def _field(node: ast.AnnAssign) -> Iterator[tuple[str, bool]]:
    text = ast.unparse(node.annotation)
    if "no_cli=True" in text or not isinstance(node.target, ast.Name):
        return
    told = {
        word.arg: ast.literal_eval(word.value)
        for call in ast.walk(node.annotation)
        if isinstance(call, ast.Call) and _named(call.func) == "Arg"
        for word in call.keywords
        if word.arg in ("aliases", "cli_name")
    }
    switch = "BooleanOptionalAction" in text
    yield str(told.get("cli_name") or node.target.id).lstrip("-").replace("_", "-"), switch
    for alias in told.get("aliases") or ():
        yield alias.lstrip("-"), switch


def _annotations(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the annotated fields of the classes of arguments."""
    for cls in ast.walk(tree):
        if isinstance(cls, ast.ClassDef) and cls.name.endswith("Args"):
            for node in cls.body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    yield node.target.id, ast.unparse(node.annotation)


def _named(node: ast.expr) -> str:
    """Name what stands left of a subscript or a dot."""
    inner = node.value if isinstance(node, (ast.Subscript, ast.Attribute)) else node
    return inner.id if isinstance(inner, ast.Name) else ""
