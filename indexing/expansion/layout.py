"""Names of the files that a segment's folder of expansions has beside those of every inverted file and vector file."""

from __future__ import annotations

from typing import Final

#: Folder of a segment in which everything about its generated queries lies.
FOLDER: Final = "x"
#: The queries' texts, concatenated; where each begins; and which belong to which passage.
QUERY_FILE: Final = "q.dat"
QUERY_OFFSET_FILE: Final = "q.off"
QUERY_PTR_FILE: Final = "q.ptr"
#: Codes that propose the nearest queries.
CODE_FILE: Final = "codes.faiss"
#: Codes that propose the nearest texts beside them.
TEXT_CODE_FILE: Final = "texts.faiss"
#: Between a passage's queries where they are analysed or encoded as one text: no analyzer joins words across it.
SEPARATOR: Final = "\n"
