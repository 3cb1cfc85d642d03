"""Topics named by a language model, from their words and from sentences that belong to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from twindex.indexing.errors import GenerationError
from twindex.indexing.expansion.topic_samples import topic_samples
from twindex.indexing.expansion.topics import TopicModel
from twindex.rag.batch import Ask, BatchGenerator, Sampling
from twindex.rag.expand.prompts import ExpandPrompt, Shown
from twindex.rag.forms import Lines, read_lines

#: One short line.
FORM: Final = Lines(1, 1, 14)
#: A label has at most so many words; longer ones are sentences, and are not taken.
MAX_WORDS: Final = 8


@dataclass(frozen=True, slots=True)
class Unnamed:
    """What a topic is shown by: its words, and some sentences of it."""

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
    """The topics of a model with the sentences that are nearest to each.

    Args:
        model: Topics.
        contents: Texts to take sentences from.
        samples: Sentences a topic.
    """
    found = topic_samples(model, contents, samples)
    return {topic.id: Unnamed(topic.words, found[topic.id]) for topic in model.topics}


def _asks(topics: Sequence[Unnamed], prompt: ExpandPrompt) -> Iterator[Ask]:
    for topic in topics:
        shown = Shown("", "\n".join(topic.samples), keywords=topic.words)
        yield Ask(prompt.render(shown, count=1), (0,))
