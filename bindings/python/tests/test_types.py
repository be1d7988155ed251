"""The stubs against the module (names, signatures), and typed programs against the stubs. Without mypy, a plain comparison of
names."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import argpick
from argpick import _argpick

FOLDER = Path(__file__).resolve().parent
CONFIG = FOLDER.parent / "pyproject.toml"


def run(*arguments: str) -> str:
    environment = {**os.environ, "MYPYPATH": "", "MYPY_CACHE_DIR": str(Path(sys.prefix) / "mypy_cache")}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, env=environment, cwd=Path(sys.prefix)
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_stub_has_the_names_of_the_module() -> None:
    stub = ast.parse((Path(argpick.__file__).parent / "_argpick.pyi").read_text())
    classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
    functions = {node.name for node in stub.body if isinstance(node, ast.FunctionDef)}
    for name, thing in vars(_argpick).items():
        if isinstance(thing, type):
            members = {node.name for node in classes[name].body if isinstance(node, ast.FunctionDef)}
            public = {member for member in vars(thing) if not member.startswith("_")}
            assert public == {member for member in members if not member.startswith("_")}, name
        elif callable(thing):
            assert name in functions, name
    assert {name for name in classes if not name.startswith("_")} == {
        name for name, thing in vars(_argpick).items() if isinstance(thing, type)
    }
    assert (Path(argpick.__file__).parent / "py.typed").exists()


def test_the_stub_has_the_signatures_of_the_module() -> None:
    pytest.importorskip("mypy")
    assert run("mypy.stubtest", "argpick._argpick", "--concise", "--mypy-config-file", str(CONFIG)) == ""


def test_the_package_and_a_program_are_well_typed() -> None:
    pytest.importorskip("mypy")
    typed = str(FOLDER / "typed.py")
    assert run("mypy", "--strict", "--warn-unused-ignores", "-p", "argpick") == ""
    assert run("mypy", "--strict", "--warn-unused-ignores", typed) == ""
