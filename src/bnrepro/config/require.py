"""How a setting is refused."""

from bnrepro.errors import BadInput

LARGEST = 1e38


def require(condition: bool, key: str, value: object, allowed: str) -> None:
    """Check one setting.

    Raises:
        BadInput: ``condition`` does not hold; the message names the key and what is allowed.
    """
    if not condition:
        raise BadInput(f"{key} is {value!r}: it must be {allowed}")


def require_positive(key: str, value: float) -> None:
    """Check that a setting is a number above 0 that float32 holds well."""
    require(0 < value <= LARGEST, key, value, f"a finite number above 0 and at most {LARGEST:g}")
