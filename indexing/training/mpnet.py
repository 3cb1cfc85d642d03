"""MPNet as BERT: the same maps under BERT's names, and a bias by distance in its attention.

Its vocabulary is BERT's after four entries of its own, its first position is its third, and it has no token types.
With rows in BERT's order, a model of either kind reads the same token ids through the same functions, so that one
may teach, or be trained, where the other is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from twindex.indexing.encoders.bert_weights import BertShape
from twindex.indexing.encoders.tokenizer import SPECIALS
from twindex.indexing.errors import ConfigError
from twindex.indexing.optional import load
from twindex.indexing.training.bert import DISTANCES, KINDS, MINILM, POSITIONS, WORDS, load_bert
from twindex.indexing.training.torch_door import Parameters, Tensor, torch

MPNET: Final = BertShape(layers=12, heads=12, hidden=768, epsilon=1e-5)
#: Rows of MPNet's vocabulary before BERT's begins, and positions before the first.
SHIFT: Final = 4
FIRST_POSITION: Final = 2
#: What stands for BERT's special tokens: <s>, </s>, <pad>.
SPECIAL_ROWS: Final = {"[CLS]": 0, "[SEP]": 2, "[PAD]": 1}
NAMES: Final = (
    (r"attention\.attn\.q\.", "attention.self.query."),
    (r"attention\.attn\.k\.", "attention.self.key."),
    (r"attention\.attn\.v\.", "attention.self.value."),
    (r"attention\.attn\.o\.", "attention.output.dense."),
    (r"attention\.LayerNorm\.", "attention.output.LayerNorm."),
)


def load_mpnet(path: Path) -> Parameters:
    """The weights of an MPNet's ``model.safetensors`` in BERT's form, float32, without its pooler.

    Raises:
        ConfigError: If the file is missing or holds no MPNet.
    """
    safetensors = load("safetensors.torch", purpose="reading weights")
    try:
        stored = safetensors.load_file(str(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"no weights in {path} ({error})", expected="a model.safetensors") from error
    return as_bert({name.removeprefix("mpnet."): value for name, value in stored.items()}, path)


def load_body(path: Path) -> tuple[Parameters, BertShape]:
    """The weights of an encoder of either kind, or of a run that began with one, and their shape.

    Raises:
        ConfigError: If the file is missing or holds neither.
    """
    safetensors = load("safetensors", purpose="reading weights")
    try:
        with safetensors.safe_open(str(path), "pt") as stored:
            names = set(stored.keys())
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise ConfigError(f"no weights in {path} ({error})", expected="a model.safetensors") from error
    if DISTANCES in {name.removeprefix("mpnet.") for name in names}:
        return (load_bert(path) if KINDS in names else load_mpnet(path)), MPNET
    return load_bert(path), MINILM


def as_bert(stored: Mapping[str, Tensor], path: Path, specials: Mapping[str, int] = SPECIALS) -> Parameters:
    """MPNet's weights in BERT's form.

    Args:
        stored: MPNet's weights under its own names.
        path: Where they are from, for errors.
        specials: Numbers of BERT's special tokens.
    """
    if DISTANCES not in stored or WORDS not in stored:
        raise ConfigError(f"{path} without {DISTANCES!r}", expected="the weights of an MPNet encoder")
    kept: Parameters = {}
    for name, value in stored.items():
        if name.startswith(("embeddings.", "encoder.")) and not name.endswith("position_ids"):
            for pattern, put in NAMES:
                name = re.sub(pattern, put, name)
            kept[name] = value.float().clone()
    words = kept[WORDS]
    rows = torch.arange(len(words) - SHIFT - 1) + SHIFT  # the last row is <mask>, which BERT has among the others
    for token, row in SPECIAL_ROWS.items():
        rows[specials[token]] = row
    kept[WORDS] = words[rows].clone()
    kept[POSITIONS] = kept[POSITIONS][FIRST_POSITION:].clone()
    kept[KINDS] = torch.zeros(2, words.shape[1])
    return kept
