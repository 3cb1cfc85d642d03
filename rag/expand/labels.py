"""Topics named by a language model, from their words and from texts that belong to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from twindex.indexing.errors import GenerationError
from twindex.indexing.expansion.topics import TopicModel
from twindex.rag.batch import Ask, BatchGenerator, Sampling
from twindex.rag.expand.prompts import ExpandPrompt, Shown, cut
from twindex.rag.forms import Lines, read_lines

#: One short line.
FORM: Final = Lines(1, 1, 14)
#: A label has at most so many words; longer ones are sentences, and are not taken.
MAX_WORDS: Final = 8
#: Tokens that are shown of a sample.
SAMPLE_TOKENS: Final = 60


@dataclass(frozen=True, slots=True)
class Unnamed:
    """What a topic is shown by: its words, and some texts of it."""

    words: tuple[str, ...]
    samples: tuple[str, ...]


def refined_labels(topics: Mapping[int, Unnamed], generator: BatchGenerator) -> dict[int, str]:
    """A label for each topic that the generator gave a usable one; the others keep theirs."""
    numbers = list(topics)
    prompt = ExpandPrompt.named("label")
    labels: dict[int, str] = {}
    sampling = Sampling(FORM.room, 0.0, 1.0, FORM)
    for place, outcomes in generator.batch(_asks([topics[number] for number in numbers], prompt), sampling):
        outcome = outcomes[0]
        if isinstance(outcome, GenerationError):
            continue
        lines = read_lines(outcome.text, FORM)
        label = lines[0].removesuffix(".") if lines else ""
        if label and len(label.split()) <= MAX_WORDS:
            labels[numbers[place]] = label
    return labels


def unnamed_topics(model: TopicModel, contents: Iterable[str], *, samples: int = 3) -> dict[int, Unnamed]:
    """The topics of a model with the texts that belong to each the most, earlier ones first among equals.

    Args:
        model: Topics.
        contents: Texts to take samples from.
        samples: Texts a topic.
    """
    best: dict[int, list[tuple[float, int, str]]] = {topic.id: [] for topic in model.topics}
    texts = iter(contents)
    at = 0
    while block := list(islice(texts, 512)):
        for text, found in zip(block, model.documents(block), strict=True):
            at += 1
            for topic, share in found.top(3):
                best[topic] = sorted([*best[topic], (-share, at, cut(text, SAMPLE_TOKENS))])[:samples]
    return {topic.id: Unnamed(topic.words, tuple(text for _, _, text in best[topic.id])) for topic in model.topics}


def _asks(topics: Sequence[Unnamed], prompt: ExpandPrompt) -> Iterator[Ask]:
    for topic in topics:
        shown = Shown("", "\n".join(topic.samples), keywords=topic.words)
        yield Ask(prompt.render(shown, count=1), (0,))
