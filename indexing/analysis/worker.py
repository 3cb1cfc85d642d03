"""An analyzer in a process of its own: reads texts from standard input, writes term numbers to standard output.

Frames, native byte order (both ends are the same machine and program):

request   u32 epoch, u32 n, u64[n] bytes of each text, the texts
reply     u64 tokens, u64 new terms, f64 seconds, i64[n + 1] offsets, i32[tokens] ids, u64[new] bytes of each term,
          the terms

Ids are numbers of the worker's own vocabulary, which begins anew with each epoch; a reply tells its terms once.
"""

from __future__ import annotations

import signal
import struct
import sys
import time
from typing import IO, Final

import numpy as np

from twindex.indexing.analysis.base import TermBatch, Vocabulary
from twindex.indexing.analysis.cached import CachedAnalyzer
from twindex.indexing.analysis.registry import get_analyzer
from twindex.indexing.types import UInt64Array

REQUEST: Final = struct.Struct("=II")
REPLY: Final = struct.Struct("=QQd")


def pack_texts(epoch: int, texts: list[str]) -> bytes:
    """A request."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    sizes = np.array([len(data) for data in encoded], np.uint64)
    return b"".join([REQUEST.pack(epoch, len(texts)), sizes.tobytes(), *encoded])


def read_reply(stream: IO[bytes], count: int) -> tuple[TermBatch, list[str], float]:
    """Numbers, new terms and seconds of a reply to ``count`` texts.

    Raises:
        EOFError: If the worker is gone.
    """
    tokens, fresh, seconds = REPLY.unpack(read_exactly(stream, REPLY.size))
    offsets = np.frombuffer(read_exactly(stream, 8 * (count + 1)), np.int64)
    ids = np.frombuffer(read_exactly(stream, 4 * tokens), np.int32)
    sizes = np.frombuffer(read_exactly(stream, 8 * fresh), np.uint64)
    return TermBatch(ids, offsets), _texts(stream, sizes), seconds


def read_exactly(stream: IO[bytes], size: int) -> bytes:
    """The next ``size`` bytes.

    Raises:
        EOFError: If the stream ends before.
    """
    data = stream.read(size)
    if len(data) != size:
        raise EOFError(f"{len(data)} of {size} bytes")
    return data


def serve(requests: IO[bytes], replies: IO[bytes], name: str) -> None:
    """Answers requests with the analyzer of that name until the stream ends."""
    analyzer = get_analyzer(name)
    if isinstance(analyzer, CachedAnalyzer):
        analyzer.prepare()
    vocabulary, current = Vocabulary(), -1
    while True:
        try:
            epoch, count = REQUEST.unpack(read_exactly(requests, REQUEST.size))
            texts = _texts(requests, np.frombuffer(read_exactly(requests, 8 * count), np.uint64))
        except EOFError:  # nobody asks any more
            return
        if epoch != current:
            vocabulary, current = Vocabulary(), epoch
        known = len(vocabulary)
        started = time.perf_counter()
        batch = analyzer.analyze(texts, vocabulary)
        seconds = time.perf_counter() - started
        terms = [term.encode("utf-8", "surrogatepass") for term in vocabulary.terms[known:]]
        replies.write(REPLY.pack(len(batch.ids), len(terms), seconds))
        replies.write(batch.offsets.tobytes() + batch.ids.tobytes())
        replies.write(np.array([len(term) for term in terms], np.uint64).tobytes() + b"".join(terms))
        replies.flush()


def main(name: str) -> None:
    """The process: it ends when its input does, and leaves interrupts to its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies, sys.stdout = sys.stdout.buffer, sys.stderr  # nothing else may print into the frames
    try:
        serve(sys.stdin.buffer, replies, name)
    except BrokenPipeError:  # the parent is gone
        return


def _texts(stream: IO[bytes], sizes: UInt64Array) -> list[str]:
    ends = np.cumsum(sizes, dtype=np.int64).tolist()
    data = read_exactly(stream, ends[-1]) if ends else b""
    return [data[start:end].decode("utf-8", "surrogatepass") for start, end in zip([0, *ends], ends)]
