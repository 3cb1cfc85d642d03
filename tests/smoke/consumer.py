"""Three lines of somebody else's program: type checkers must see through the installed wheel."""

from twindex.retrieval.engine import Searcher, SearchResult


def first_hit(index: str, query: str) -> str:
    with Searcher.open(index) as searcher:
        result: SearchResult = searcher.search(query, k=1)
    return result.hits[0].id
