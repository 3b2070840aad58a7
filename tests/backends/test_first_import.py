"""The garbage collector while torch is imported: at rest, and afterwards as the program had it."""

import json
import subprocess
import sys

WATCHED = """
import gc, json, sys
full = []
gc.callbacks.append(lambda phase, about: full.append(1) if phase == "start" and about["generation"] == 2 else None)
{before}
apart = gc.get_freeze_count()
from bge_components import make_encoder
make_encoder("mini").encode(["a text"])
print(json.dumps([len(full), gc.isenabled(), gc.get_freeze_count() - apart]))
"""


def watched(before="pass"):
    program = WATCHED.format(before=before)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_a_first_embedding_comes_without_a_full_collection_and_leaves_the_collector_on():
    assert watched() == [0, True, 0]


def test_a_collector_that_is_off_stays_off():
    assert watched("gc.disable()") == [0, False, 0]


def test_objects_that_the_program_keeps_apart_stay_apart():
    _, enabled, more_apart = watched("gc.freeze()")
    assert enabled
    assert more_apart > -1000  # some of them are needed no longer
