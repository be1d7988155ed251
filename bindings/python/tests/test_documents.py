"""The examples of the documentation run, and print what they say."""

import contextlib
import doctest
import io
import re
from pathlib import Path

import argpick
from argpick import sandbox

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_examples_of_the_readme() -> None:
    examples = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README.read_text(), re.S)
    assert len(examples) == README.read_text().count("```python") == 2
    for program, expected in examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(program, {})
        assert printed.getvalue() == expected


def test_the_examples_of_the_docstrings() -> None:
    tried = 0
    for module in (argpick, sandbox):
        finder = doctest.DocTestFinder(exclude_empty=True)
        runner = doctest.DocTestRunner()
        for name, thing in [("", module), *vars(module).items()]:
            if name.startswith("_") or (name and not getattr(thing, "__module__", "").startswith("argpick")):
                continue
            for test in finder.find(thing, f"{module.__name__}.{name}", globs=dict(vars(argpick))):
                runner.run(test)
        assert runner.failures == 0
        tried += runner.tries
    assert tried > 20


def test_the_typed_program_runs() -> None:
    exec((Path(__file__).parent / "typed.py").read_text(), {"__name__": "typed"})
