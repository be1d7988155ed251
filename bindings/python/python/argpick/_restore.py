"""How pickles become objects again."""

from typing import Any

from . import _argpick


def pick(fields: dict[str, Any]) -> "_argpick.Pick":
    """A pick from its fields."""
    return _argpick.Pick(**fields)
