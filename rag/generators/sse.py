"""Server-sent events, as far as chat endpoints use them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def events(lines: Iterable[str]) -> Iterator[str]:
    """The data of each event.

    Comments and other fields are skipped; several data lines of one event are joined by line ends. An event
    that the end of the stream cuts off is passed on, so that its reader can complain.

    Source: WHATWG HTML, section "Server-sent events", interpretation of an event stream.
    """
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                yield "\n".join(data)
                data = []
            continue
        name, _, value = line.partition(":")
        if name == "data":
            data.append(value[1:] if value.startswith(" ") else value)
    if data:
        yield "\n".join(data)
