"""An index under random operations against a plain dictionary."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from twindex.indexing.analysis import get_analyzer
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.errors import DuplicateIdError
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Document
from twindex.indexing.verify import verify
from twindex.indexing.writer import IndexWriter

IDS = st.sampled_from(["a", "b", "c", "d", "e", "f", "ü", "a b"])
TEXTS = st.text(alphabet="ab c", max_size=8).map(lambda text: f"{text} x")
DOCUMENTS = st.lists(st.builds(Document, id=IDS, text=TEXTS), max_size=5)


class IndexMachine(RuleBasedStateMachine):
    """The model: id -> text, in the order of ordinals; now, and at the last commit."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="twindex-machine-"))
        self.path = self.folder / "index"
        self.model = HashingEncoder(8)
        self.analyzer = get_analyzer("whitespace")

    @initialize(segment_docs=st.integers(1, 4))
    def create(self, segment_docs: int) -> None:
        config = IndexConfig("whitespace", self.model.info, segment_docs=segment_docs)
        self.writer = IndexWriter.create(self.path, config, encoder=self.model)
        self.now: dict[str, str] = {}
        self.writer.commit()
        self.committed = dict(self.now)
        self.dirty = False

    @rule(documents=DOCUMENTS)
    def upsert(self, documents: list[Document]) -> None:
        report = self.writer.add(documents, on_duplicate="replace")
        replaced = 0
        for document in documents:
            replaced += self.now.pop(document.id, None) is not None
            self.now[document.id] = document.text
        assert report.replaced == replaced
        self.dirty = True

    @rule(documents=DOCUMENTS)
    def add_new_ones(self, documents: list[Document]) -> None:
        report = self.writer.add(documents, on_duplicate="skip")
        before = len(self.now)
        for document in documents:
            self.now.setdefault(document.id, document.text)
        assert report.documents == len(self.now) - before
        assert report.duplicates == len(documents) - report.documents
        self.dirty = True

    @rule(documents=DOCUMENTS)
    def add_or_fail(self, documents: list[Document]) -> None:
        ids = [document.id for document in documents]
        if len(set(ids)) == len(ids) and not set(ids) & set(self.now):
            self.writer.add(documents)
            self.now |= {document.id: document.text for document in documents}
            self.dirty = True
            return
        try:
            self.writer.add(documents)
        except DuplicateIdError:
            self.rollback()
        else:
            raise AssertionError("a duplicate went through")

    @rule(ids=st.lists(IDS, max_size=4))
    def delete(self, ids: list[str]) -> None:
        there = set(ids) & set(self.now)
        assert self.writer.delete(ids) == len(there)
        for name in there:
            del self.now[name]
        self.dirty = True

    @rule(max_segments=st.integers(1, 3))
    def merge(self, max_segments: int) -> None:
        self.writer.merge(max_segments)
        self.dirty = True

    @rule()
    def commit(self) -> None:
        self.writer.commit()
        self.committed = dict(self.now)
        self.dirty = False

    @rule()
    def rollback(self) -> None:
        self.writer.rollback()
        self.now = dict(self.committed)
        self.dirty = False

    @rule()
    def reopen(self) -> None:
        self.writer.close()
        self.writer = IndexWriter.open(self.path, encoder=self.model)
        self.now = dict(self.committed)
        self.dirty = False

    @rule()
    def check_every_byte(self) -> None:
        assert verify(self.path).problems == ()

    @invariant()
    def the_snapshot_is_the_last_commit(self) -> None:
        if not self.path.exists():
            return
        with Snapshot.open(self.path) as snapshot:
            allowed = snapshot.allowed(None)
            ords = np.arange(snapshot.size) if allowed is None else np.flatnonzero(allowed)
            passages = snapshot.passages(ords.astype(np.int32))
            assert [(p.doc_id, p.text) for p in passages] == list(self.committed.items())
            assert snapshot.live_docs == snapshot.documents == len(self.committed)
            self.check_statistics(snapshot)
            matrices = [s.vectors.matrix for s in snapshot.segments if s.vectors is not None]
            if matrices:
                wanted = self.model.encode_documents(list(self.committed.values()))
                np.testing.assert_array_equal(np.concatenate(matrices)[ords], wanted)

    def check_statistics(self, snapshot: Snapshot) -> None:
        terms = [self.analyzer.terms(text) for text in self.committed.values()]
        assert snapshot.live_length == sum(map(len, terms))
        df = Counter(term for each in terms for term in set(each))
        found: Counter[str] = Counter()
        for segment in snapshot.segments:
            for number, term in enumerate(segment.postings.terms()):
                found[term] += segment.live_df(number)
        assert +found == df

    def teardown(self) -> None:
        if hasattr(self, "writer"):
            self.writer.close()
        shutil.rmtree(self.folder)


TestIndexMachine = IndexMachine.TestCase
TestIndexMachine.settings = settings(
    max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
