"""Rows of four bits a document added to a window's sums by vector instructions. Imported through ``fast.py`` only.

A byte of a row holds the levels of two documents; a table of sixteen bytes a row says what a level is worth in this
query. The processor looks up 32 levels at a time (PSHUFB), adds the bytes of up to eight rows, and only then widens
them to the 16 bits of the sums: a third of the time of multiplying bytes, and half the memory read.

Source: tables in registers instead of multiplication: F. Andre, A.-M. Kermarrec, N. Le Scouarnec, "Cache locality is
not enough: High-Performance Nearest Neighbor Search with Product Quantization Fast Scan", VLDB 2015.
"""

from __future__ import annotations

from typing import Any, Final

from twindex.indexing.optional import load
from twindex.retrieval.kernels import A, jit
from twindex.retrieval.kernels_memory import write_fetch

_numba = load("numba", purpose="compiled sparse search")
_extending = load("numba.extending", purpose="compiled sparse search")
_ir = load("llvmlite.ir", purpose="compiled sparse search")
_binding = load("llvmlite.binding", purpose="compiled sparse search")
_cgutils = load("numba.core.cgutils", purpose="compiled sparse search")
_types = _numba.core.types

#: Documents of a strip: the low halves of 32 bytes, then their high halves.
STRIP: Final = 64
#: Strips of a group, and documents of a group; sums are folded into one strip a group.
STRIPS: Final = 16
GROUP: Final = STRIP * STRIPS
#: Rows whose values together stay in a byte.
TOGETHER: Final = 8
#: Bytes of a row that are asked for ahead.
AHEAD: Final = 768


def able() -> bool:
    """Whether this processor has the instructions (AVX2)."""
    return bool(_binding.get_host_cpu_features().get("avx2", False)) and "x86_64" in _binding.get_process_triple()


_I8, _I16, _I32, _I64 = (_ir.IntType(bits) for bits in (8, 16, 32, 64))
_BYTES, _WORDS = _ir.VectorType(_I8, 32), _ir.VectorType(_I16, 16)


def _constant(kind: Any, value: int) -> Any:
    return _ir.Constant(kind, [value] * kind.count)


class _Strips:
    """Writes the instructions of :func:`add_strips`."""

    def __init__(self, builder: Any, arguments: Any) -> None:
        self.b = builder
        self.sums, self.rows, self.tables, self.count, self.groups = arguments[:5]
        self.tops, self.hits, shift, bar, self.again = arguments[5:]
        kind = _ir.FunctionType(_BYTES, [_BYTES, _BYTES])
        self.shuffle = _cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx2.pshuf.b")
        self.low = _constant(_BYTES, 15)
        self.shift, self.bar = self.filled(shift), self.filled(bar)
        self.most = [_cgutils.alloca_once(builder, _WORDS) for _ in range(4)]
        self.parts = [_cgutils.alloca_once(builder, _BYTES) for _ in range(4)]
        self.below = _cgutils.alloca_once_value(builder, _constant(_WORDS, 0))
        self.found = _cgutils.alloca_once_value(builder, _I64(0))

    def filled(self, number: Any) -> Any:
        """Sixteen times the same number."""
        nothing = _ir.Constant(_WORDS, _ir.Undefined)
        one = self.b.insert_element(nothing, self.b.trunc(number, _I16), _I32(0))
        return self.b.shuffle_vector(one, nothing, _ir.Constant(_ir.VectorType(_I32, 16), [0] * 16))

    def at(self, address: Any, offset: Any, kind: Any) -> Any:
        """A pointer to a value so many bytes behind an address."""
        return self.b.inttoptr(self.b.add(address, offset), kind.as_pointer())

    def read(self, address: Any, offset: Any, kind: Any) -> Any:
        """A value, which may begin anywhere."""
        return self.b.load(self.at(address, offset, kind), align=1)

    def times(self, index: Any, factor: int, plus: int = 0) -> Any:
        """``index * factor + plus``."""
        return self.b.add(self.b.mul(index, _I64(factor)), _I64(plus))

    def greater(self, left: Any, right: Any) -> Any:
        """The greater of each two numbers."""
        return self.b.select(self.b.icmp_unsigned(">", left, right), left, right)

    def write(self) -> Any:
        """All groups; returns how many reached the bar."""
        b = self.b
        with _cgutils.for_range(b, self.groups, intp=_I64) as group:
            with b.if_else(_cgutils.is_null(b, self.again)) as (once, twice):
                with once:
                    self.pairs(group.index, True)
                with twice:
                    self.pairs(group.index, False)
            tops = [b.load(top) for top in self.most]
            for i, top in enumerate(tops):
                b.store(top, self.at(self.tops, self.times(group.index, 2 * STRIP, 32 * i), _WORDS), align=1)
            most = self.greater(self.greater(tops[0], tops[1]), self.greater(tops[2], tops[3]))
            reached = b.bitcast(b.icmp_unsigned(">=", most, self.bar), _I16)
            with b.if_else(_cgutils.is_not_null(b, reached)) as (hit, miss):
                with hit:
                    self.keep(group.index)
                with miss:
                    self.drop(group.index, most)
        b.store(b.load(self.below), self.at(self.tops, self.times(self.groups, 2 * STRIP), _WORDS), align=1)
        return b.load(self.found)

    def keep(self, group: Any) -> None:
        """Note a group; write its sums if that was not done."""
        b = self.b
        found = b.load(self.found)
        b.store(b.trunc(group, _I32), self.at(self.hits, self.times(found, 4), _I32), align=1)
        b.store(b.add(found, _I64(1)), self.found)
        with b.if_then(_cgutils.is_not_null(b, self.again)):
            self.pairs(group, True)

    def drop(self, group: Any, most: Any) -> None:
        """Zeros for a group's sums, while they are close."""
        b = self.b
        b.store(self.greater(b.load(self.below), most), self.below)
        for i in range(GROUP // 16):
            b.store(_constant(_WORDS, 0), self.at(self.sums, self.times(group, 2 * GROUP, 32 * i), _WORDS), align=1)

    def pairs(self, group: Any, store: bool) -> None:
        """The pairs of strips of a group, in them rows."""
        b = self.b
        for most in self.most:
            b.store(_constant(_WORDS, 0), most)
        with _cgutils.for_range(b, _I64(STRIPS // 2), intp=_I64) as pair:
            number = b.add(b.mul(group, _I64(STRIPS // 2)), pair.index)
            for part in self.parts:
                b.store(_constant(_BYTES, 0), part)
            with _cgutils.for_range(b, self.count, intp=_I64) as row:
                self.row(row.index, number)
            for i in range(8):
                self.widen(number, i, store)

    def row(self, row: Any, number: Any) -> None:
        """Add one row's levels, looked up, to two strips."""
        b = self.b
        table = self.read(self.tables, self.times(row, 32), _BYTES)
        start = self.read(self.rows, self.times(row, 8), _I64)
        write_fetch(b, b.add(start, self.times(number, STRIP, AHEAD)))
        for strip in range(2):
            both = self.read(start, self.times(number, STRIP, 32 * strip), _BYTES)
            high = b.bitcast(b.lshr(b.bitcast(both, _WORDS), _constant(_WORDS, 4)), _BYTES)
            for part, levels in zip(self.parts[2 * strip :], (both, high), strict=False):
                values = b.call(self.shuffle, [table, b.and_(levels, self.low)])
                b.store(b.add(b.load(part), values), part)

    def widen(self, number: Any, i: int, store: bool) -> None:
        """Add sixteen bytes to sixteen sums, and keep the greatest."""
        b, most = self.b, self.most[i % 4]
        chosen = _ir.Constant(_ir.VectorType(_I32, 16), [16 * (i % 2) + j for j in range(16)])
        half = b.shuffle_vector(b.load(self.parts[i // 2]), _ir.Constant(_BYTES, _ir.Undefined), chosen)
        place = self.at(self.sums, self.times(number, 4 * STRIP, 32 * i), _WORDS)
        total = b.add(b.load(place, align=1), b.shl(b.zext(half, _WORDS), self.shift))
        if store:
            b.store(total, place, align=1)
        b.store(self.greater(total, b.load(most)), most)


@_extending.intrinsic  # type: ignore[untyped-decorator]
def _add_strips(
    context: A, sums: A, rows: A, tables: A, count: A, groups: A, tops: A, hits: A, shift: A, bar: A, again: A
) -> A:
    """See :func:`add_strips`; addresses. Nothing where :func:`able` is false."""

    def emit(codegen: A, builder: A, signature: A, arguments: A) -> A:
        return _Strips(builder, arguments).write() if able() else _I64(0)

    return _types.int64(*[_types.intp] * 10), emit


@jit
def add_strips(
    sums: A, rows: A, tables: A, count: A, groups: A, tops: A, hits: A, shift: A, bar: A, again: A
) -> A:  # fmt: skip
    """Add ``count`` rows, times two to the ``shift``, to the sums of the first ``groups`` groups; fold each to a strip.

    ``tops[64 * g + i]`` = the greatest of ``sums[1024 * g + 64 * s + i]`` for s = 0 to 15, after adding. Groups in
    which none reaches ``bar`` are done with: their sums become zeros, and the 16 tops behind the last are the greatest
    of theirs. Returns how many others there are; ``hits`` are their numbers.

    ``again``: 1 = sums are first only looked at, and added once more in groups that reach the bar, which is quicker
    if they are few; 0 = always written.

    Shapes: ``sums`` uint16[1024 * groups]; ``rows`` int64[count]: address of each row's bytes of the first group;
    ``tables`` uint8[count, 32]: value of each level, twice; their greatest values add up to 255 at most; ``tops``
    uint16[64 * groups + 16]; ``hits`` int32[groups].
    """
    places = (sums.ctypes.data, rows.ctypes.data, tables.ctypes.data)
    return _add_strips(*places, count, groups, tops.ctypes.data, hits.ctypes.data, shift, bar, again)
