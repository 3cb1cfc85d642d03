"""Generators, one file each, behind the protocol of :mod:`twindex.rag.generator`."""
