"""What FlagEmbedding answered on the tiny checkpoints of the parity kit, and the inputs it was given."""

import json

from support.shared import shared_path

QUERIES = ["what is panda?", "how much protein should a female eat"]
PASSAGES = [
    "hi",
    "The giant panda (Ailuropoda melanoleuca), sometimes called a panda bear, is a bear species endemic to China.",
    "46 grams per day is the CDC's average requirement of protein. 法国的首都是巴黎。",
]
PAIRS = [
    (QUERIES[0], PASSAGES[0]),
    (QUERIES[0], PASSAGES[1]),
    (QUERIES[1], PASSAGES[2]),
    ("模型检索", "向量 " * 300),
]
TOLERANCE = 1e-4


def golden(version, case):
    return json.loads(shared_path("parity", "golden", version, f"{case}.json").read_text())
