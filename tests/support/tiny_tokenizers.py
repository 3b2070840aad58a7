"""Tokenizers of tiny checkpoints: the real layouts over a small hand-made vocabulary, no training."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

WORDS = tuple(
    dict.fromkeys(
        """
        the of and to a in is for that with as be on by this it from are or not an if at which can has was have
        given returns return value object function class method name string list file path number type default
        key argument arguments call called data time sequence first second new raise error true false none set
        get add remove open close read write size length index item element order query passage search document
        panda bear capital france paris model vector embedding rank score database question answer text sentence
        represent searching relevant passages one two three when where how what who all any each other than use
        used must should may will only also more same between into after before up down out over
        """.split()  # noqa: SIM905 - a list of a hundred quoted words would be unreadable
    )
)
PIECES = tuple("ing ed er s tion ment ly al able un re pre ize ness it on".split())  # noqa: SIM905
HAN = (
    "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过"
    "家学对可里后小心多天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见"
    "经头面公同三已老从动两长知样现分将外但身些与高意进把法此实回二理美点月明其种声全工"
)
CHARACTERS = tuple(
    dict.fromkeys(
        string.ascii_letters + string.digits + string.punctuation + "，。？！：；、（）“”éïüßдаяλ日本語" + HAN
    )
)


def bert_tokenizer(folder: Path, *, lower: bool = True, max_tokens: int = 512) -> int:
    """Write a WordPiece tokenizer in the layout of bert-base; give the size of its vocabulary."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    after = ["##" + piece for piece in (*PIECES, *string.ascii_letters, *string.digits)]
    vocabulary = list(dict.fromkeys([*special, *CHARACTERS, *after, *WORDS]))
    ids = {token: i for i, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lower
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    names = {f"{token.strip('[]').lower()}_token": token for token in special}
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": lower, "tokenize_chinese_chars": True}
    return _write(folder, tokenizer, special, names, {**settings, "strip_accents": None}, max_tokens)


def xlmr_tokenizer(folder: Path, *, max_tokens: int = 512) -> int:
    """Write a Unigram tokenizer in the layout of XLM-RoBERTa: <s> <pad> </s> <unk> first, <mask> last.

    The real one also holds a precompiled Unicode table; transformers 5 drops any other normaliser, so there
    is none here that would change a text.
    """
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    scored = [("▁", -4.0)]
    scored += [(f"▁{word}", -5 - 0.01 * i) for i, word in enumerate(WORDS)]
    scored += [
        (word, -7 - 0.01 * i) for i, word in enumerate(dict.fromkeys([*PIECES, *WORDS])) if len(word) > 1
    ]
    scored += [(character, -10 - 0.01 * i) for i, character in enumerate(CHARACTERS)]
    pieces = dict(reversed(scored))  # a piece that is listed twice keeps its better score
    vocabulary = [*((token, 0.0) for token in special), *reversed(pieces.items()), ("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    settings = {"tokenizer_class": "XLMRobertaTokenizer"}
    return _write(folder, tokenizer, [*special, "<mask>"], _fairseq_names(), settings, max_tokens)


def roberta_tokenizer(folder: Path, *, max_tokens: int = 512) -> int:
    """Write a byte-level BPE tokenizer in the layout of RoBERTa."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = _byte_level(special, last="<mask>", unknown="<unk>")
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    settings = {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": False, "trim_offsets": True}
    return _write(folder, tokenizer, [*special, "<mask>"], _fairseq_names(), settings, max_tokens)


def modernbert_tokenizer(folder: Path, *, max_tokens: int = 512) -> int:
    """Write a byte-level BPE tokenizer with BERT's special tokens, as ModernBERT has it."""
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]
    tokenizer = _byte_level(special, last="[MASK]", unknown=None)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:0 [SEP]:0",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    special.append("[MASK]")
    names = {f"{token.strip('[]').lower()}_token": token for token in special}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
    }
    return _write(folder, tokenizer, special, names, settings, max_tokens)


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _byte_level(special: Sequence[str], *, last: str, unknown: str | None) -> Tokenizer:
    """Byte-level BPE whose merges spell each word from left to right, with and without the space before it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: dict[tuple[str, str], None] = {}
    for word in (*("Ġ" + word for word in WORDS), *WORDS):
        for end in range(1, len(word)):
            merges.setdefault((word[:end], word[end]), None)
    joined = dict.fromkeys(first + second for first, second in merges)
    vocabulary = {token: i for i, token in enumerate([*special, *alphabet, *joined, last])}
    tokenizer = Tokenizer(models.BPE(vocabulary, list(merges), unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _fairseq_names() -> dict[str, str]:
    names = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
    return {**names, "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}


def _write(
    folder: Path,
    tokenizer: Tokenizer,
    special: Sequence[str],
    names: dict[str, str],
    settings: dict[str, Any],
    max_tokens: int,
) -> int:
    added = [AddedToken(t, special=True, normalized=False, lstrip="mask" in t.lower()) for t in special]
    tokenizer.add_special_tokens(added)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "special_tokens_map.json", names)
    write_json(folder / "tokenizer_config.json", {**settings, **names, "model_max_length": max_tokens})
    return int(tokenizer.get_vocab_size())
