"""How a setting is refused."""

import math

from bnrepro.errors import BadInput


def require(condition: bool, key: str, value: object, allowed: str) -> None:
    """Check one setting.

    Raises:
        BadInput: ``condition`` does not hold; the message names the key and what is allowed.
    """
    if not condition:
        raise BadInput(f"{key} is {value!r}: it must be {allowed}")


def require_positive(key: str, value: float) -> None:
    """Check that a setting is a finite number above 0."""
    require(math.isfinite(value) and value > 0, key, value, "a finite number above 0")
