"""Memory asked for before it is needed. Imported through ``fast.py`` only.

A document that is looked at by itself lies somewhere in hundreds of megabytes, and a processor that waits for one after
the other waits a tenth of a microsecond each. Asked for together, they arrive together.
"""

from __future__ import annotations

from typing import Any

from twindex.indexing.optional import load

_numba = load("numba", purpose="compiled sparse search")
_extending = load("numba.extending", purpose="compiled sparse search")
_ir = load("llvmlite.ir", purpose="compiled sparse search")
_cgutils = load("numba.core.cgutils", purpose="compiled sparse search")
_types = _numba.core.types


def write_fetch(builder: Any, address: Any) -> None:
    """The instruction of :func:`fetch`."""
    pointer, number = _ir.IntType(8).as_pointer(), _ir.IntType(32)
    kind = _ir.FunctionType(_ir.VoidType(), [pointer, number, number, number])
    function = _cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    # to be read, wanted in all levels of the cache, data
    builder.call(function, [builder.inttoptr(address, pointer), number(0), number(3), number(1)])


@_extending.intrinsic  # type: ignore[untyped-decorator]
def fetch(context: Any, address: Any) -> Any:
    """Bring the line of the cache with this address closer, without waiting for it; any address will do."""

    def emit(codegen: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        write_fetch(builder, arguments[0])
        return codegen.get_dummy_value()

    return _types.void(_types.intp), emit
