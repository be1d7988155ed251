"""Runs the Python blocks of a page and writes their output into the page: what stands there is what came out.

    python examples/page.py docs/strategies.md

The blocks share their names, from the first to the last; the ```text block after one holds what it printed. ARGPICK_TEST_MODEL
names the model file that the pages load.
"""

import contextlib
import io
import os
import re
import sys
import time
from pathlib import Path

BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def run(page: Path) -> float:
    """Runs a page; answers the seconds it took."""
    text = page.read_text()
    names: dict[str, object] = {"__name__": "page"}
    sys.path.insert(0, str(Path(__file__).parent.resolve()))
    os.chdir(page.parent)

    def fill(block: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block[1], f"{page.name}, line {text[: block.start()].count(chr(10)) + 2}", "exec"), names)
        output = "\n".join(line.rstrip() for line in printed.getvalue().splitlines())
        return f"```python\n{block[1]}```\n" + (f"\n```text\n{output}\n```\n" if output else "")

    start = time.perf_counter()
    filled = BLOCK.sub(fill, text)
    Path(page.name).write_text(filled)
    return time.perf_counter() - start


if __name__ == "__main__":
    if len(sys.argv) != 2 or not os.environ.get("ARGPICK_TEST_MODEL"):
        sys.exit("usage: ARGPICK_TEST_MODEL=MODEL.gguf python page.py PAGE.md")
    where = Path(sys.argv[1]).resolve()
    os.environ["ARGPICK_TEST_MODEL"] = str(Path(os.environ["ARGPICK_TEST_MODEL"]).resolve())
    print(f"{where.name}: {run(where):.1f} s")
