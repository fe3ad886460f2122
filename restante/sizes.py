"""Sizes as people write them."""

from __future__ import annotations

import re

UNITS = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4}


def parse_octets(text: str) -> int:
    """Return what `500 kB`, `2.5 GB` or `64 MiB` means. Raises ValueError."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*([kKMGT]?)(i?)B", text.strip())
    if found is None or (found[3] and not found[2]):
        raise ValueError(text)
    octets = int(float(found[1]) * (1024 if found[3] else 1000) ** UNITS[found[2].replace("K", "k")])
    if not octets:
        raise ValueError(text)
    return octets
