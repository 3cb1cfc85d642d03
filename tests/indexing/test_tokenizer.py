"""Texts to token ids: BERT's vocabulary, cuts, odd characters, texts of any size."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.indexing.tiny_bert import write_tokenizer
from twindex.indexing.encoders import tokenizer as module
from twindex.indexing.encoders.tokenizer import VOCABULARY, TextTokenizer
from twindex.indexing.errors import ConfigError

CLS, SEP, UNK = 101, 102, 100


@pytest.fixture(scope="module")
def bert() -> TextTokenizer:
    return TextTokenizer.bert_uncased(16)


def test_the_vocabulary_is_the_published_one() -> None:
    wanted = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
    assert sha256(VOCABULARY.read_bytes()).hexdigest() == wanted


def test_known_ids(bert: TextTokenizer) -> None:
    assert bert.ids("") == [CLS, SEP]
    assert bert.ids("Hello, world!") == [CLS, 7592, 1010, 2088, 999, SEP]
    assert bert.ids("HÉLLO world") == bert.ids("hello world")  # accents and case go
    assert bert.ids("unaffable") == [CLS, 14477, 20961, 3468, SEP]  # the example of the BERT paper's code
    assert bert.ids("[SEP]") == [CLS, SEP, SEP]
    assert bert.ids("z" * 101) == [CLS, UNK, SEP]


def test_cut_at_max_length(bert: TextTokenizer) -> None:
    ids = bert.ids("one two three four five six seven eight nine ten " * 5)
    assert len(ids) == 16
    assert (ids[0], ids[-1]) == (CLS, SEP)


@pytest.mark.parametrize("text", ["\ud800", "a\udfff b", "\0", "\ufffd\u200b"])
def test_characters_that_utf8_lacks(bert: TextTokenizer, text: str) -> None:
    assert bert.ids(text) == bert.ids(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


@pytest.mark.parametrize(
    "text",
    ["word " * 300_000, "x" * 1_000_000, " " * 1_000_000 + "end", "\n" * 3000 + "a b c " * 3000, "漢" * 200_000],
    ids=["words", "one word", "blanks", "lines", "no blanks"],
)
def test_a_long_text_equals_its_whole(bert: TextTokenizer, text: str) -> None:
    assert bert.ids(text) == bert._tokenizer.encode(text).ids


@given(st.lists(st.sampled_from(["a", "tokenization", " ", "  ", "\n", "é", "漢", "9" * 120, "."]), max_size=60))
def test_cutting_first_changes_nothing(parts: list[str]) -> None:
    small = TextTokenizer.bert_uncased(5) if not _SMALL else _SMALL[0]
    _SMALL[:] = [small]
    text = "".join(parts)
    assert small.ids(text) == small._tokenizer.encode(text).ids


_SMALL: list[TextTokenizer] = []


def test_padding_and_truncation_of_a_file_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    write_tokenizer(path)
    tokenizer = TextTokenizer.from_file(path, 8)
    assert len(tokenizer.ids("a b")) == 4
    assert len(tokenizer.ids("a b c d e f g h i")) == 8
    assert tokenizer.digest == sha256(path.read_bytes()).hexdigest()


def test_files_that_are_no_tokenizer(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(ConfigError, match="tokenizer"):
        TextTokenizer.from_file(path, 8)
    with pytest.raises(ConfigError, match="tokenizer"):
        TextTokenizer.from_file(tmp_path / "absent.json", 8)


def test_no_room_for_text() -> None:
    with pytest.raises(ConfigError, match="max_length = 2"):
        TextTokenizer.bert_uncased(2)


def test_only_the_head_of_a_long_text_is_tokenised(bert: TextTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    head = module._head

    def watch(text: str, size: int) -> str:
        found = head(text, size)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(module, "_head", watch)
    bert.ids("some words " * 100_000)
    assert sizes == [pytest.approx(16 * 16, abs=12)]
