"""Vectors of texts: the same text has the same one, and two texts have nothing in common.

The components are the bytes of a hash (SHAKE-128, two a component), scaled to length 1; fewer dimensions are the first
ones, scaled again, as with models that can be cut short. They have the precision that the wire has in base64.
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Vectors"]


@dataclass(frozen=True, slots=True)
class Vectors:
    """What a call for embeddings asks for.

    Attributes:
        texts: A vector is wanted of each.
        dimensions: The length of a vector; None for the model's own.
        packed: Whether vectors travel as base64 of little-endian 32-bit floats, not as lists.
    """

    texts: Sequence[str]
    dimensions: int | None
    packed: bool

    def to_documents(self, most_dimensions: int) -> list[dict[str, Any]]:
        """The entries of the answer, in the order of the texts.

        Args:
            most_dimensions: The length of the model's vectors.
        """
        dimensions = self.dimensions or most_dimensions
        vectors = (_vector(text, dimensions) for text in self.texts)
        return [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vector).decode()
                if self.packed
                else struct.unpack(f"<{dimensions}f", vector),
            }
            for index, vector in enumerate(vectors)
        ]


def _vector(text: str, dimensions: int) -> bytes:
    """A vector of length 1, as 32-bit floats."""
    digest = hashlib.shake_128(text.encode(errors="surrogatepass")).digest(2 * dimensions)
    components = struct.unpack(f"<{dimensions}h", digest)
    norm = math.hypot(*components) or 1.0
    return struct.pack(f"<{dimensions}f", *(component / norm for component in components))
