"""Numbers made usual: so many rows, tokens or places that their number is a multiple."""


def rounded_up(number: int, step: int) -> int:
    """Give the least multiple of `step` that is not below `number`."""
    return -(-number // step) * step
