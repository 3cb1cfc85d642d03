"""What every SparseEncoder must do. An implementation inherits the class and gives the fixture."""

from __future__ import annotations

import numpy as np
import pytest

from tests.contracts.encoder_kit import ODD, TEXTS
from twindex.indexing.encoding import SparseEncoder, SparseEncoderInfo, SparseRows


class SparseEncoderKit:
    """Override ``encoder`` with a fixture."""

    @pytest.fixture
    def encoder(self) -> SparseEncoder:
        raise NotImplementedError

    def rows(self, encoder: SparseEncoder, texts: list[str]) -> SparseRows:
        found = encoder.encode_documents(texts)
        found.check(encoder.info.vocabulary, len(texts))
        return found

    def test_implements_the_protocol(self, encoder: SparseEncoder) -> None:
        assert isinstance(encoder, SparseEncoder)
        info = encoder.info
        assert isinstance(info, SparseEncoderInfo)
        assert info.name
        assert info.fingerprint
        assert encoder.info == info

    def test_rows_are_well_formed(self, encoder: SparseEncoder) -> None:
        for texts in ([], TEXTS[:1], TEXTS, ODD):
            self.rows(encoder, texts)

    def test_weights_keep_below_the_maximum_that_is_declared(self, encoder: SparseEncoder) -> None:
        weights = self.rows(encoder, [*TEXTS, *ODD]).weights
        assert float(weights.max()) <= encoder.info.max_weight

    def test_the_same_text_gives_the_same_bits_whatever_stands_beside_it(self, encoder: SparseEncoder) -> None:
        together = self.rows(encoder, [*TEXTS, *ODD])
        for number, text in enumerate([*TEXTS, *ODD]):
            alone, own = self.rows(encoder, [text]), together.slice(number, number + 1)
            assert alone.ids.tobytes() == own.ids.tobytes()
            assert alone.weights.tobytes() == own.weights.tobytes()

    def test_queries(self, encoder: SparseEncoder) -> None:
        for text in [*TEXTS, *ODD]:
            ids, weights = encoder.encode_query(text)
            SparseRows(np.array([0, len(ids)], np.int64), ids, weights).check(encoder.info.vocabulary, 1)
            again = encoder.encode_query(text)
            assert (again[0].tobytes(), again[1].tobytes()) == (ids.tobytes(), weights.tobytes())

    def test_a_document_is_found_by_its_own_words(self, encoder: SparseEncoder) -> None:
        texts = ["the bees make honey", "tax law of 1913", "a violin in a copper case"]
        rows = self.rows(encoder, texts)
        for number, text in enumerate(texts):
            ids, weights = encoder.encode_query(text)
            query = np.zeros(encoder.info.vocabulary)
            query[ids] = weights
            scores = [float(query[r.ids] @ r.weights) for r in (rows.slice(i, i + 1) for i in range(len(texts)))]
            assert int(np.argmax(scores)) == number
