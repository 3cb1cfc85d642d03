"""The page in headless Chromium: search in all modes, reasons, filters, cited answers, keyboard, no other hosts.

Needs the Python package playwright and Debian's chromium; skipped without. ``TWINDEX_SHOTS`` names a folder for
screenshots; ``TWINDEX_AXE`` the file axe.min.js of the npm package axe-core, to look for barriers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import DOCUMENTS
from tests.api.server import Process, free_port
from tests.api.test_legs import Questions
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.types import Document
from twindex.indexing.writer import IndexWriter

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SHOTS = os.environ.get("TWINDEX_SHOTS")
AXE = os.environ.get("TWINDEX_AXE")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium: apt-get install chromium"),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def url(index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Process(index, port=free_port(), log=tmp_path_factory.mktemp("page") / "log")
    server.wait_ready(90)
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, 900, "light"), (390, 844, "dark")], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Any, url: str) -> Iterator[Any]:
    width, height, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(30_000)
    problems: list[str] = []
    elsewhere: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda sent: elsewhere.append(sent.url) if not sent.url.startswith((url, "data:")) else None)
    page.goto(url)
    page.width = width
    yield page
    assert not elsewhere, elsewhere
    assert not [problem for problem in problems if "422" not in problem], problems
    context.close()


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}-{page.width}.png", full_page=True)


def barriers(page: Any) -> None:
    """Axe finds nothing serious."""
    if AXE:
        # Through the debugger, which the page's content policy does not bind.
        page.evaluate(Path(AXE).read_text())
        found = page.evaluate("axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html]))")
        assert not [v for v in found if v[0] in ("serious", "critical")], found


def test_typing_searches_in_all_modes(page: Any) -> None:
    page.get_by_label("Search or ask").fill("pull of the moon")
    for mode in ("hybrid", "sparse", "dense"):
        page.wait_for_selector(f"#hits-{mode} li", state="attached")
        assert page.locator(f"#hits-{mode} .title").first.text_content() == "Tides"
    assert page.locator("#hits-sparse mark").first.text_content() == "pull"
    assert "both fused" in page.locator("#status").text_content()
    shot(page, "search")
    barriers(page)
    if page.width < 600:
        assert not page.locator("#column-sparse").is_visible()
        page.get_by_role("radio", name="By words").check()
        assert page.locator("#column-sparse").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"


def test_a_rank_says_why(page: Any) -> None:
    page.get_by_label("Search or ask").fill("honey in the hive")
    page.wait_for_selector("#hits-hybrid li")
    page.locator("#hits-hybrid summary").first.click()
    why = page.locator("#hits-hybrid .why").first
    assert "words" in why.locator(".sum").first.text_content()
    assert "=" in why.locator(".sum").first.text_content()
    assert why.locator(".bars.sparse b").count() >= 2
    assert why.locator(".bars.dense b").first.text_content() == "similarity"
    shot(page, "why")
    barriers(page)


def test_filters_narrow_and_mistakes_are_told(page: Any) -> None:
    page.get_by_label("Search or ask").fill("moon")
    page.get_by_label("Filter").fill("year = 2020")
    sync_api.expect(page.locator("#hits-dense li")).to_have_count(1)
    page.get_by_label("Filter").fill("year >=")
    page.wait_for_selector("#status.bad")
    assert "expected" in page.locator("#status").text_content()
    assert "year" in page.locator("#fields").text_content()


def test_an_answer_streams_with_its_sources(page: Any) -> None:
    page.get_by_label("Search or ask").fill("What do honey bees store inside the hive?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".cite")
    assert "nectar" in page.locator("#words").text_content()
    page.locator(".cite").first.click()
    chosen = page.locator(".passage.on")
    assert "Honey bee" in chosen.locator("h3").text_content()
    assert "nectar" in chosen.locator("mark").first.text_content()
    assert page.evaluate("document.activeElement.classList.contains('passage')")
    shot(page, "answer")
    barriers(page)


def test_the_keyboard_is_enough(page: Any) -> None:
    page.wait_for_selector("#index option", state="attached")
    page.locator("#results").focus()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "query"
    page.keyboard.type("bread")
    page.wait_for_selector("#hits-hybrid li")
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"ask", "filter", "index", "SUMMARY"} <= seen


def test_texts_are_text_and_never_markup(browser: Any, tmp_path: Path) -> None:
    import httpx

    server = Process(tmp_path / "root", "--root", port=free_port(), log=tmp_path / "log")
    try:
        server.wait_ready(90)
        httpx.post(f"{server.url}/v1/indexes", json={"name": "x", "encoder": "none"}, timeout=30)
        evil = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script> markup"
        body = {"documents": [{"id": evil, "title": evil, "text": evil, "note": evil}]}
        httpx.post(f"{server.url}/v1/indexes/x/documents?wait=visible", json=body, timeout=30)
        page = browser.new_page()
        page.goto(f"{server.url}/#q=markup")
        page.wait_for_selector("#hits-sparse li")
        assert page.locator("#hits-sparse .title").first.text_content() == evil
        assert page.locator("#results img, #results script").count() == 0
        assert page.title() == "twindex"
        page.close()
    finally:
        server.stop()


def test_the_index_view(page: Any) -> None:
    page.get_by_text("Index and health").click()
    page.wait_for_selector("#facts tr")
    assert "all visible" in page.locator("#facts").text_content()
    shot(page, "index")
    barriers(page)


def test_the_api_page_still_works(page: Any, url: str) -> None:
    page.goto(f"{url}/docs")
    page.wait_for_selector("article")
    assert page.locator("article").count() >= 20
    shot(page, "docs")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An index with a learned leg and generated queries."""
    path, encoder, sparse = tmp_path_factory.mktemp("page") / "rich", HashingEncoder(64), SparseHashingEncoder(512)
    source = Questions()
    config = IndexConfig(encoder=encoder.info, sparse_encoder=sparse.info, expansion=source.info)
    with IndexWriter.create(path, config, encoder=encoder, sparse_encoder=sparse, expansions=source) as writer:
        writer.add([Document(d["_id"], d["text"], d["title"], d["metadata"]) for d in DOCUMENTS])  # type: ignore[arg-type]
        writer.commit()
    server = Process(path, port=free_port(), log=path.parent / "log")
    server.wait_ready(90)
    yield server.url
    server.stop()


@pytest.mark.parametrize("width", [1280, 390])
def test_learned_words_and_generated_queries_are_shown(browser: Any, learned: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_default_timeout(30_000)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(learned)
    page.width = width
    page.get_by_label("Search or ask").fill("wherefore honey")
    for column in ("hybrid", "sparse", "learned", "dense"):
        page.wait_for_selector(f"#hits-{column} li", state="attached")
        assert page.locator(f"#hits-{column} .title").first.text_content() == "Honey bee"
    assert "learned words #1" in page.locator("#hits-hybrid .meta").first.text_content()
    for column in ("hybrid", "learned", "sparse"):
        if width < 600:
            page.locator(f"#modes input[value={column}]").check()
        page.locator(f"#hits-{column} summary").first.click()
        why = page.locator(f"#hits-{column} .why").first
        assert "wherefore Honey bee Ho" in why.text_content()
    assert page.locator("#hits-sparse .bars b").first.is_visible()
    fused = page.locator("#hits-hybrid .why").first
    assert [fused.locator(f".bars.{tone}").count() for tone in ("sparse", "learned", "dense")] == [1, 1, 1]
    assert fused.locator(".bars.dense b").all_text_contents() == ["text", "generated"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
    shot(page, "learned")
    barriers(page)
    page.locator("#choices summary").click()
    page.get_by_label("Generated queries").select_option(label="left out")
    sync_api.expect(page.locator("#hits-sparse .title").first).to_have_text("Honey bee")
    if width < 600:
        page.locator("#modes input[value=sparse]").check()
    page.locator("#hits-sparse summary").first.click()
    assert "wherefore" not in page.locator("#hits-sparse .why").first.text_content()
    assert not problems, problems
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_more_hits_options_in_the_link_and_the_request_itself(browser: Any, tmp_path: Path, width: int) -> None:
    import httpx

    server = Process(tmp_path / "root", "--root", port=free_port(), log=tmp_path / "log")
    context = browser.new_context(viewport={"width": width, "height": 844})
    try:
        server.wait_ready(90)
        for name, sparse in (("other", "none"), ("twins", "sparse-hashing:256")):
            settings = {"name": name, "encoder": "hashing:32", "sparse_encoder": sparse}
            httpx.post(f"{server.url}/v1/indexes", json=settings, timeout=60)
        rows = [{"id": f"d{n}", "title": f"Number {n}", "text": f"the same words and {n}"} for n in range(12)]
        httpx.post(f"{server.url}/v1/indexes/twins/documents?wait=visible", json={"documents": rows}, timeout=60)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.width = width
        page.goto(f"{server.url}/#q=same+words&index=twins")
        sync_api.expect(page.locator("#hits-hybrid li")).to_have_count(8)
        page.locator("#more-hybrid").click()
        sync_api.expect(page.locator("#hits-hybrid li")).to_have_count(12)
        assert page.locator("#hits-hybrid .rank").all_text_contents() == [str(n) for n in range(1, 13)]
        assert page.locator("#more-hybrid").count() == 0
        assert page.evaluate("document.activeElement.closest('li').querySelector('.rank').textContent") == "9"
        page.locator("#choices summary").click()
        shot(page, "options")
        barriers(page)
        for label, choice in (
            ("How both are fused", "meaning 3 : 1"),
            ("Words that are fused", "both"),
            ("Learned words find", "a tenth of the work"),
        ):
            page.get_by_label(label, exact=True).select_option(label=choice)
        sync_api.expect(page.locator("#choices summary")).to_have_text("Options (3 chosen)")
        page.get_by_text("This search as a request").click()
        line = page.locator("#curl")
        sync_api.expect(line).to_contain_text('"budget":0.1')
        sync_api.expect(line).to_contain_text('"weights":{"sparse":1,"dense":3}')
        sync_api.expect(line).to_contain_text("/v1/indexes/twins/search")
        sync_api.expect(page.locator("#hits-hybrid li")).to_have_count(8)
        shot(page, "request")
        barriers(page)
        again = context.new_page()
        again.goto(page.url)
        sync_api.expect(again.locator("#hits-hybrid li")).to_have_count(8)
        assert again.get_by_label("Words that are fused").input_value() == '{"sparse":"both"}'
        assert again.locator("#index").input_value() == "twins"
        again.get_by_label("Index", exact=True).select_option("other")
        sync_api.expect(again.locator("#status")).to_have_text("Nothing found.")
        assert not again.get_by_label("Learned words find").is_visible()
    finally:
        context.close()
        server.stop()
