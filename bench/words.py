"""Made-up language: words drawn by Zipf's law, so that text compresses about as text does."""

from __future__ import annotations

import itertools
import random
import textwrap

_ONSETS = (*"bdfghklmnprstvw", "br", "ch", "dr", "fl", "gr", "kl", "pr", "sch", "st", "tr")
_NUCLEI = ("a", "e", "i", "o", "u", "au", "ei", "ie", "äu", "ö", "ü")
_CODAS = ("", "", "n", "r", "s", "t", "l", "ng", "ck", "nd", "st")


class Language:
    """A vocabulary with frequencies, and the one generator that everything of a run is drawn from."""

    def __init__(self, seed: int, *, words: int = 8000) -> None:
        self.dice = random.Random(seed)
        self._words = [self._word() for _ in range(words)]
        self._weights = list(itertools.accumulate(1 / (rank + 2.7) for rank in range(words)))

    def _word(self) -> str:
        syllables = self.dice.choices((1, 2, 3, 4), (3, 5, 3, 1))[0]
        draw = self.dice.choice
        return "".join(draw(_ONSETS) + draw(_NUCLEI) + draw(_CODAS) for _ in range(syllables))

    def words(self, count: int) -> list[str]:
        """Draw that many words, frequent ones often."""
        return self.dice.choices(self._words, cum_weights=self._weights, k=count)

    def sentence(self, count: int) -> str:
        """Draw a sentence of that many words."""
        return " ".join(self.words(count)).capitalize() + "."

    def paragraphs(self, octets: int) -> str:
        """Draw paragraphs of about so many octets in lines of at most 76, CRLF at their ends."""
        left, out = octets, []
        while left > 0:
            text = " ".join(self.sentence(self.dice.randint(4, 16)) for _ in range(self.dice.randint(1, 5)))
            out.append("\r\n".join(textwrap.wrap(text, 76)))
            left -= len(text)
        return "\r\n\r\n".join(out) + "\r\n"

    def log_normal(self, median: float, sigma: float, *, low: int, high: int) -> int:
        """Draw a size by the log-normal law, kept between two bounds."""
        return max(low, min(high, round(median * self.dice.lognormvariate(0, sigma))))

    def token(self, length: int = 16) -> str:
        """Draw hex digits, as ids and boundaries have them."""
        return self.dice.randbytes(length // 2 + 1).hex()[:length]
