"""The page about servers can't rot: it is what the tests expect."""

from tests.matrix.page import PAGE, page


def test_the_page_says_what_the_tests_expect() -> None:
    assert PAGE.read_text() == page(), "run python -m tests.matrix.page"
