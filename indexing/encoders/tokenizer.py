"""Text to token ids: the vendored bert-base-uncased WordPiece, or any ``tokenizer.json``."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from twindex.indexing.errors import ConfigError
from twindex.indexing.optional import load

PURPOSE: Final = "the tokenizer of an encoder"
VOCABULARY: Final = Path(__file__).with_name("bert-base-uncased.vocab.txt")
#: Special tokens of BERT with their numbers in that vocabulary.
SPECIALS: Final = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
LONGEST_WORD: Final = 100  # characters; BERT turns longer words into [UNK]
#: Characters tokenised at first for each token that may be kept; doubled while that is too few.
CHARS_PER_TOKEN: Final = 16

_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s")


class TextTokenizer:
    """Token ids of one text, special tokens included, cut at ``max_length``.

    Args:
        tokenizer: A ``tokenizers.Tokenizer``; its padding and truncation are replaced.
        max_length: Number of tokens that are kept, special ones included.
        digest: Hash of what the tokenizer was made from.

    Raises:
        ConfigError: If no text token would fit ``max_length``.
    """

    def __init__(self, tokenizer: Any, max_length: int, digest: str) -> None:
        special = tokenizer.num_special_tokens_to_add(False)
        if max_length <= special:
            raise ConfigError(f"max_length = {max_length}", expected=f"more than {special} tokens")
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length)
        self._tokenizer = tokenizer
        self.max_length = max_length
        self.digest = digest

    @classmethod
    def bert_uncased(cls, max_length: int) -> TextTokenizer:
        """The tokenizer of bert-base-uncased and all models that share its vocabulary."""
        lib = load("tokenizers", purpose=PURPOSE)
        content = VOCABULARY.read_bytes()
        vocabulary = {word: number for number, word in enumerate(content.decode().splitlines())}
        model = lib.models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD)
        tokenizer = lib.Tokenizer(model)
        tokenizer.normalizer = lib.normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = lib.pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = lib.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[(name, SPECIALS[name]) for name in ("[CLS]", "[SEP]")]
        )
        tokenizer.add_special_tokens(list(SPECIALS))
        return cls(tokenizer, max_length, sha256(content).hexdigest())

    @classmethod
    def from_file(cls, path: Path, max_length: int) -> TextTokenizer:
        """The tokenizer of a ``tokenizer.json``.

        Raises:
            ConfigError: If the file cannot be read as one.
        """
        lib = load("tokenizers", purpose=PURPOSE)
        try:
            content = path.read_bytes()
            tokenizer = lib.Tokenizer.from_buffer(content)
        except Exception as error:  # the library raises bare Exception
            raise ConfigError(f"{path} cannot be read as a tokenizer: {error}") from error
        return cls(tokenizer, max_length, sha256(content).hexdigest())

    def token(self, number: int) -> str:
        """The token of a number; empty if there is none."""
        return self._tokenizer.id_to_token(number) or ""

    def ids(self, text: str) -> list[int]:
        """Token ids of any string: lone surrogates count as U+FFFD, a text of any size is cut first.

        Cost: proportional to the kept tokens, unless the text is all blanks or one endless word.
        """
        clean = without_surrogates(text)
        size = self.max_length * CHARS_PER_TOKEN
        while True:
            head = _head(clean, size)
            ids: list[int] = self._tokenizer.encode(head).ids
            if len(ids) >= self.max_length or len(head) == len(clean):
                return ids
            size *= 2


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for each lone surrogate, which UTF-8 cannot express."""
    return _SURROGATE.sub("\ufffd", text)


def _head(text: str, size: int) -> str:
    """At least the first ``size`` characters, up to a blank: no word is cut, so no token changes."""
    if len(text) <= size:
        return text
    blank = _SPACE.search(text, size)
    return text[: blank.start()] if blank else text
