from __future__ import annotations

import pytest

from twindex.rag.sentences import MAX_CHARS, split_sentences


def split(text: str) -> list[str]:
    return [span.of(text) for span in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t ", []),
        ("One. Two.", ["One.", "Two."]),
        ("No stop at the end", ["No stop at the end"]),
        ("Dr. Lund met Mrs. Berg. They spoke.", ["Dr. Lund met Mrs. Berg.", "They spoke."]),
        ("It costs 3.14 crowns. Or 4.", ["It costs 3.14 crowns.", "Or 4."]),
        ("J. R. Berg wrote it. We read it.", ["J. R. Berg wrote it.", "We read it."]),
        ("See Fig. 3 and No. 7. Then stop.", ["See Fig. 3 and No. 7.", "Then stop."]),
        ("The answer is no. Nobody knew.", ["The answer is no.", "Nobody knew."]),
        ("Fruit, e.g. Apples, is good. Yes.", ["Fruit, e.g. Apples, is good.", "Yes."]),
        ("At 5 p.m. on Monday it rained.", ["At 5 p.m. on Monday it rained."]),
        ("The U.S. Army left. It rained.", ["The U.S. Army left.", "It rained."]),
        ("Really? Yes! Good.", ["Really?", "Yes!", "Good."]),
        ("Well... maybe not. So what.", ["Well... maybe not.", "So what."]),
        ('He said "Go." She went.', ['He said "Go."', "She went."]),
        ("(It is so.) Then more.", ["(It is so.)", "Then more."]),
        ("Version 3.11 is out. Use os.path.join now.", ["Version 3.11 is out.", "Use os.path.join now."]),
        ("Line one\ngoes on here. Two.", ["Line one\ngoes on here.", "Two."]),
        ("Heading\n\nBody text here.", ["Heading", "Body text here."]),
        ("Take:\n- one egg\n- two spoons", ["Take:", "- one egg", "- two spoons"]),
        ("1. First step\n2. Second step", ["1. First step", "2. Second step"]),
        ("| a | b |\n| 1 | 2 |", ["| a | b |", "| 1 | 2 |"]),
        ("Example:\n>>> f(1)\n2", ["Example:", ">>> f(1)\n2"]),
        ("東京は首都です。人口は多い！", ["東京は首都です。", "人口は多い！"]),
        ("यह एक वाक्य है। दूसरा भी।", ["यह एक वाक्य है।", "दूसरा भी।"]),
    ],
)
def test_splits(text: str, expected: list[str]) -> None:
    assert split(text) == expected


def test_very_long_runs_are_cut_at_words() -> None:
    text = "word " * 1000
    pieces = split(text)
    assert max(map(len, pieces)) <= MAX_CHARS
    assert " ".join(pieces) == text.strip()


def test_a_run_without_any_place_to_cut_is_cut_anyway() -> None:
    assert [len(piece) for piece in split("x" * (2 * MAX_CHARS + 5))] == [MAX_CHARS, MAX_CHARS, 5]


def test_a_megabyte_takes_no_time() -> None:
    assert len(split("A sentence of six words here. " * 35_000)) == 35_000
