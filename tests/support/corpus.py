"""Real texts of mixed length without any download: docstrings of the standard library, Chinese, oddities."""

from __future__ import annotations

import argparse
import asyncio
import collections
import concurrent.futures
import csv
import datetime
import decimal
import email.message
import fractions
import functools
import heapq
import inspect
import itertools
import json
import logging
import pathlib
import random
import re
import shutil
import socket
import sqlite3
import statistics
import string
import subprocess
import tarfile
import textwrap
import threading
import urllib.parse
import zipfile
from collections.abc import Iterator
from types import ModuleType

MODULES: tuple[ModuleType, ...] = (
    argparse, asyncio, collections, concurrent.futures, csv, datetime, decimal, email.message, fractions,
    functools, heapq, inspect, itertools, json, logging, pathlib, random, re, shutil, socket, sqlite3,
    statistics, string, subprocess, tarfile, textwrap, threading, urllib.parse, zipfile,
)  # fmt: skip

CHINESE = (
    "大熊猫是中国特有的动物，主要生活在四川的山里。",
    "法国的首都是巴黎。",
    "为这个句子生成表示以用于检索相关文章：",
    "检索系统先召回一百篇文章，再用重排模型给每一篇打分，最后只留下最好的三篇。",
    "今天天气很好，我们去公园散步吧！",
    "数据库里一共有多少条记录？",
    "向量的长度归一化以后，内积就等于余弦相似度。",
    "他昨天晚上十一点才从上海坐火车回到北京，今天一早又去上班了。",
    "水在标准大气压下一百摄氏度沸腾。",
    "请把这段文字翻译成英文。",
    "机器学习模型需要大量的样例数据；没有好的数据，再大的模型也没有用。",
    "长城全长两万多公里，是世界上最长的建筑。",
    "苹果公司发布了新的 iPhone，价格为 5999 元。",
    "BM25 是一种经典的稀疏检索方法，BGE-M3 则同时支持稠密、稀疏和多向量检索。",
    "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。",
)

ODD = (
    "a",
    "?!",
    "   leading and trailing white space   ",
    "line one\nline two\r\n\tline three",
    "café naïve résumé Ærøskøbing Ελληνικά русский язык العربية 日本語 한국어",
    "emoji 😀👩‍👩‍👧‍👦🇫🇷 and symbols ∑∫√ ½ № ™",
    "SELECT * FROM staff WHERE id = 4; -- drop it",
    "def add(a, b):\n    return a + b",
    "https://example.org/a/very/long/path?with=query&and=more#fragment",
    "0.1 1,000 -3e10 0x7f 1/2 50% $9.99",
    "Pneumonoultramicroscopicsilicovolcanoconiosis",
    "[CLS] [SEP] <s> </s> <mask> [MASK]",
    "word " * 200,
    "中英 mixed 文本 with 数字 123 和 punctuation，right？",
    "ｆｕｌｌ ｗｉｄｔｈ　ｌｅｔｔｅｒｓ",
    "\u200bzero\u200bwidth\u00adand\u00a0hard spaces",
)


def english(count: int = 1000) -> list[str]:
    """Give distinct docstrings of 3 to 6,000 characters, the same ones in the same mixed order each time."""
    texts = sorted({text.strip() for module in MODULES for text in _docstrings(module)})
    texts = [text for text in texts if 3 <= len(text) <= 6000]
    random.Random(0).shuffle(texts)
    return texts[:count]


def mixed(count: int = 300) -> list[str]:
    """Give distinct texts: every Chinese and odd one among English ones, short and long mingled."""
    few = [*CHINESE, *ODD]
    texts = [*few, *english(max(count - len(few), 0))][:count]
    random.Random(1).shuffle(texts)
    return texts


def pairs(count: int = 100) -> list[tuple[str, str]]:
    """Give (question-like, passage-like) pairs: a short text with any other."""
    texts = mixed(3 * count)
    short = [text for text in texts if len(text) < 120]
    return [(short[i % len(short)], texts[-1 - i]) for i in range(count)]


def _docstrings(module: ModuleType) -> Iterator[str]:
    """Yield the docstrings of a module, of what it holds, and of the methods of its classes."""
    yield inspect.getdoc(module) or ""
    for name, item in sorted(vars(module).items()):
        if name.startswith("_") or inspect.ismodule(item) or not callable(item):
            continue
        yield inspect.getdoc(item) or ""
        for method, thing in sorted(vars(item).items()) if inspect.isclass(item) else ():
            if not method.startswith("_") and callable(thing):
                yield inspect.getdoc(thing) or ""
