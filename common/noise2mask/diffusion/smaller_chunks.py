"""What to do where a chunk of images and samples does not fit into the memory."""

import logging
from collections.abc import Callable
from typing import TypeVar

from ..refusals import out_of_memory

T = TypeVar("T")
logger = logging.getLogger(__name__)


def in_smaller_chunks(run: Callable[[int], T], chunk_size: int) -> T:
    """`run(chunk_size)`; where memory runs out, again with half as many in a chunk, down to 1."""
    while True:
        try:
            return run(chunk_size)
        except (RuntimeError, MemoryError) as error:
            if chunk_size == 1 or not (said := out_of_memory(error)):
                raise
        chunk_size //= 2  # out here, where the error no longer holds what was computed
        logger.warning(f"{said}: trying {chunk_size} at once; a lower chunk_size saves the first try")
