"""What every Encoder must do. An implementation inherits the class and gives the fixture."""

from __future__ import annotations

import numpy as np
import pytest

from twindex.indexing.encoding import Encoder, EncoderInfo

TEXTS = [
    "a bee visits a flower",
    "Prices rose by three percent in the second quarter.",
    "short",
    "the same words again and again " * 30,
    "naïve café, Ελλάδα, 東京, 👩‍👩‍👧",
]
#: Everything that a file may hold and a text should not.
ODD = ["", " ", "\n\t", "\0", "\ud800", "a\udfffb", "x" * 5000, "?!", "[SEP] [MASK]", "\u202e\ufeff", "e\u0301" * 400]


class EncoderKit:
    """Override ``encoder`` with a fixture. ``tolerance`` is 0 for encoders that are batch invariant.

    ``means_something`` is False for models with random weights.
    """

    tolerance = 0.0
    means_something = True

    @pytest.fixture
    def encoder(self) -> Encoder:
        raise NotImplementedError

    def close(self, a: np.ndarray, b: np.ndarray) -> bool:
        return bool(np.abs(a - b).max(initial=0.0) <= self.tolerance)

    def test_implements_the_protocol(self, encoder: Encoder) -> None:
        assert isinstance(encoder, Encoder)
        info = encoder.info
        assert isinstance(info, EncoderInfo)
        assert info.name
        assert info.fingerprint
        assert info.dim > 0
        assert encoder.info == info
        assert encoder.batch_invariant is (self.tolerance == 0.0)

    def test_shape_and_dtype(self, encoder: Encoder) -> None:
        for encode in (encoder.encode_documents, encoder.encode_queries):
            for texts in ([], TEXTS[:1], TEXTS):
                found = encode(texts)
                assert found.shape == (len(texts), encoder.info.dim)
                assert found.dtype == np.float32
                assert found.flags.c_contiguous

    def test_length_is_one_if_the_similarity_is_the_cosine(self, encoder: Encoder) -> None:
        if encoder.info.similarity == "cosine":
            norms = np.linalg.norm(encoder.encode_documents(TEXTS).astype(np.float64), axis=1)
            assert np.abs(norms - 1).max() < 1e-6

    def test_the_same_text_gives_the_same_bits(self, encoder: Encoder) -> None:
        assert encoder.encode_documents(TEXTS).tobytes() == encoder.encode_documents(TEXTS).tobytes()
        assert encoder.encode_queries(TEXTS).tobytes() == encoder.encode_queries(TEXTS).tobytes()

    def test_a_row_depends_on_its_own_text_alone(self, encoder: Encoder) -> None:
        together = encoder.encode_documents([*TEXTS, *ODD])
        alone = np.concatenate([encoder.encode_documents([text]) for text in [*TEXTS, *ODD]])
        assert self.close(together, alone)

    def test_rows_keep_the_order_of_the_texts(self, encoder: Encoder) -> None:
        forward = encoder.encode_documents(TEXTS)
        assert self.close(forward[::-1], encoder.encode_documents(TEXTS[::-1]))
        twice = encoder.encode_documents([TEXTS[0], TEXTS[1], TEXTS[0]])
        assert self.close(twice[0], twice[2])
        assert not np.array_equal(twice[0], twice[1])

    def test_a_tuple_is_as_good_as_a_list(self, encoder: Encoder) -> None:
        assert self.close(encoder.encode_documents(tuple(TEXTS)), encoder.encode_documents(TEXTS))

    def test_odd_texts_have_finite_vectors(self, encoder: Encoder) -> None:
        for encode in (encoder.encode_documents, encoder.encode_queries):
            assert bool(np.isfinite(encode(ODD)).all())

    def test_a_text_of_a_megabyte(self, encoder: Encoder) -> None:
        found = encoder.encode_documents(["many words of a long text " * 40_000])
        assert bool(np.isfinite(found).all())

    def test_texts_with_common_words_are_closer(self, encoder: Encoder) -> None:
        if not self.means_something:
            return
        found = encoder.encode_documents(["the bees make honey", "honey made by bees", "tax law of 1913"])
        assert found[0] @ found[1] > found[0] @ found[2]
