"""Long texts as overlapping windows, each of which the encoder takes whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..contracts import Span, TextTokenizer
from ..errors import InputError
from .borders import Borders


class WindowCutter:
    """Finds windows that fit, prompt and special tokens included, when they are encoded alone.

    Windows are planned by the tokens of the whole text. A part of a text can give other tokens than it gave within
    the whole (its first word now begins a text, a word may be cut), so each window is tokenised alone and made
    shorter until it fits.
    """

    def __init__(
        self,
        tokenizer: TextTokenizer,
        prompted: Callable[[str], str],
        max_tokens: int,
        overlap_tokens: int,
    ) -> None:
        """Set up.

        Args:
            tokenizer: Of the encoder.
            prompted: Puts the prompt to a text.
            max_tokens: Of a window, prompt and special tokens included.
            overlap_tokens: That a window shares with the one before it, about.

        Raises:
            InputError: If there is no room for text, or the overlap takes more than half of it.
        """
        self._tokenizer = tokenizer
        self._prompted = prompted
        self._max_tokens = max_tokens
        self._overlap = overlap_tokens
        self._room = max_tokens - len(tokenizer.encode_spans([prompted("")])[0][0])
        if self._room < 1 or not 0 <= overlap_tokens <= self._room // 2:
            raise InputError(
                f"windows of max_tokens={max_tokens} have room for {max(0, self._room)} tokens of text beside prompt "
                f"and special tokens; overlap_tokens={overlap_tokens} must be between 0 and half of that: "
                "ask for longer windows or less overlap"
            )

    def windows(self, texts: Sequence[str]) -> list[list[Span]]:
        """Give the windows of each text: one over all of it where it fits."""
        _, cuts = self._tokenizer.encode([self._prompted(text) for text in texts], self._max_tokens)
        long = {cut.index for cut in cuts}
        return [
            self._windows(text) if index in long else [(0, len(text))] for index, text in enumerate(texts)
        ]

    def _windows(self, text: str) -> list[Span]:
        ((_, spans),) = self._tokenizer.encode_spans([text])
        borders = Borders(text, spans)
        windows: list[Span] = []
        start = covered = 0
        while covered < len(text):
            place, stop = self._end(text, borders, start)
            if place <= covered:
                start = covered  # so much overlap leaves no room for anything new
                continue
            windows.append((start, stop))
            covered = place
            start = borders.first_good(borders.before(start, self._overlap, place), place)
        return windows

    def _end(self, text: str, borders: Borders, start: int) -> Span:
        """Give where the next window may begin without overlap, and before that, where this one ends."""
        tokens, furthest = self._room, len(text)
        while True:
            place = borders.last_good(start, min(furthest, borders.furthest(start, tokens)))
            stop = borders.without_space(start, place)
            excess = self._excess(text[start:stop])
            if not excess or place > furthest:
                return place, stop
            tokens, furthest = max(1, tokens - excess), place - 1

    def _excess(self, part: str) -> int:
        _, cuts = self._tokenizer.encode([self._prompted(part)], self._max_tokens)
        return cuts[0].dropped if cuts else 0


def window_limit(asked: int | None, most: int) -> int:
    """Give the length of windows in tokens: what was asked for, or all that the encoder takes.

    Raises:
        InputError: If more was asked for than the encoder takes.
    """
    if asked is not None and asked > most:
        raise InputError(
            f"windows of max_tokens={asked} were asked for, but this encoder cuts texts at {most} tokens: "
            "ask for shorter ones, or allow it more with its own max_tokens"
        )
    return most if asked is None else asked
