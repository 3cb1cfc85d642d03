"""``POST /v1/encode``: texts to vectors, with the encoder of an index."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, Field
from starlette.responses import Response

from twindex.api.deps import ContextDep, ReadIndex
from twindex.api.json_response import to_json
from twindex.api.openapi import problems
from twindex.api.refusals import TooLargeError
from twindex.api.schemas_legs import Body
from twindex.api.service.served import ServedIndex
from twindex.api.web import APIRouter
from twindex.indexing.encoding import Encoder, SparseEncoder
from twindex.indexing.errors import QueryError
from twindex.retrieval.impact_reasons import names_of

router = APIRouter(tags=["encode"])
#: Characters of all texts of a request together, at most.
MAX_CHARS = 1_000_000


class EncodeRequest(Body):
    """Texts to encode."""

    texts: list[str] = Field(min_length=1, max_length=2048, examples=[["how to read a csv file"]])
    kind: Literal["query", "document"] = Field(default="query", description="What they are: prompts may differ.")


class EncodeResponse(BaseModel):
    """One vector a text, in their order."""

    encoder: str
    fingerprint: str
    dim: int
    vectors: list[list[float]]
    took_ms: float


class SparseRow(BaseModel):
    """The dimensions of one text that are not 0, ascending."""

    ids: list[int]
    weights: list[float]
    words: dict[str, str] = Field(description="What dimensions stand for, as far as the encoder knows; queries only.")


class SparseResponse(BaseModel):
    """One row a text, in their order."""

    encoder: str
    fingerprint: str
    vocabulary: int
    rows: list[SparseRow]
    took_ms: float


@router.post("/v1/encode", response_model=EncodeResponse, summary="Encode texts", responses=problems(404, 501))
@router.post(
    "/v1/indexes/{index}/encode",
    response_model=EncodeResponse,
    summary="Encode texts with the encoder of an index",
    responses=problems(404, 501),
)
async def encode(body: EncodeRequest, served: ReadIndex, context: ContextDep) -> Response:
    """Vectors as the index has them: their inner products with its own are the scores of dense search."""
    check_texts(body.texts, context.limits.texts)
    data = await context.work.run(_encoded, served, body)
    return Response(data, media_type="application/json")


@router.post(
    "/v1/encode/sparse", response_model=SparseResponse, summary="Encode texts sparsely", responses=problems(404, 501)
)
@router.post(
    "/v1/indexes/{index}/encode/sparse",
    response_model=SparseResponse,
    summary="Encode texts with the sparse encoder of an index",
    responses=problems(404, 501),
)
async def encode_sparse(body: EncodeRequest, served: ReadIndex, context: ContextDep) -> Response:
    """Weights as the learned leg has them: inner products of queries and documents are its scores, rounding aside."""
    check_texts(body.texts, context.limits.texts)
    data = await context.work.run(_encoded_sparsely, served, body)
    return Response(data, media_type="application/json")


def check_texts(texts: list[str], most: int) -> None:
    """Nothing, if so many texts of that length may be encoded at once.

    Raises:
        TooLargeError: If not.
    """
    if len(texts) > most or sum(map(len, texts)) > MAX_CHARS:
        raise TooLargeError(
            f"{len(texts)} texts of {sum(map(len, texts)):,} characters",
            expected=f"at most {most} texts and {MAX_CHARS:,} characters",
            remedy="send them in several requests",
        )


def encoder_of(served: ServedIndex) -> Encoder:
    """The encoder of an index.

    Raises:
        QueryError: If the index has no vectors.
        FingerprintError: If the encoder here is another one.
    """
    info = served.searcher.snapshot.encoder_info
    if info is None:
        raise QueryError(f"index {served.name!r} has no vectors", expected="an index that was made with an encoder")
    encoder = served.encoders.named(info.name)
    served.searcher.snapshot.check_encoder(encoder)
    return encoder


def sparse_encoder_of(served: ServedIndex) -> SparseEncoder:
    """The sparse encoder of an index.

    Raises:
        QueryError: If the index has no learned leg.
        FingerprintError: If the encoder here is another one.
    """
    info = served.searcher.snapshot.sparse_encoder_info
    if info is None:
        raise QueryError(
            f"index {served.name!r} has no learned leg", expected="an index that was made with a sparse encoder"
        )
    encoder = served.encoders.sparse(info.name)
    served.searcher.snapshot.check_sparse_encoder(encoder)
    return encoder


def _encoded_sparsely(served: ServedIndex, body: EncodeRequest) -> bytes:
    started = time.perf_counter()
    encoder = sparse_encoder_of(served)
    rows: list[dict[str, Any]] = []
    if body.kind == "query":
        for text in body.texts:
            ids, weights = encoder.encode_query(text)
            words = {str(number): word for number, word in names_of(encoder, text).items()}
            rows.append({"ids": ids.tolist(), "weights": weights.tolist(), "words": words})
    else:
        found = encoder.encode_documents(body.texts)
        for first, last in pairwise(found.ptr.tolist()):
            rows.append({"ids": found.ids[first:last].tolist(), "weights": found.weights[first:last].tolist()})
            rows[-1]["words"] = {}
    return to_json(
        {
            "encoder": encoder.info.name,
            "fingerprint": encoder.info.fingerprint,
            "vocabulary": encoder.info.vocabulary,
            "rows": rows,
            "took_ms": round(1000 * (time.perf_counter() - started), 3),
        }
    )


def _encoded(served: ServedIndex, body: EncodeRequest) -> bytes:
    started = time.perf_counter()
    encoder = encoder_of(served)
    vectors: Any = encoder.encode_queries(body.texts) if body.kind == "query" else encoder.encode_documents(body.texts)
    return to_json(
        {
            "encoder": encoder.info.name,
            "fingerprint": encoder.info.fingerprint,
            "dim": encoder.info.dim,
            "vectors": vectors.tolist(),
            "took_ms": round(1000 * (time.perf_counter() - started), 3),
        }
    )
