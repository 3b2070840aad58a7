import random
import time

from bge_components.contracts import Priority
from bge_components.pool.backlog import Backlog
from bge_components.pool.requests import Request, Ticket
from bge_components.settings import BatchSettings
from support.scripted import Script, ScriptedModel, sequence

MODEL = ScriptedModel(Script(), "one", "cpu", 1)
OTHER = ScriptedModel(Script(), "two", "cpu", 1)


def ticket(length, priority=Priority.BULK, model=MODEL):
    return Ticket(Request(1), [0], sequence(*range(length)), model, priority)


def lengths(batch):
    return [one.tokens for one in batch]


def test_a_batch_stays_within_its_budget_and_holds_the_oldest_with_its_nearest_lengths():
    backlog = Backlog(BatchSettings())
    backlog.add([ticket(length) for length in (50, 200, 51, 10, 49, 400)])
    assert sorted(lengths(backlog.take(155))) == [49, 50, 51]
    assert sorted(lengths(backlog.take(250))) == [10, 200]
    assert lengths(backlog.take(250)) == [400]
    assert backlog.take(250) == []
    assert (len(backlog), backlog.tokens) == (0, 0)


def test_a_text_longer_than_the_budget_runs_alone():
    backlog = Backlog(BatchSettings())
    backlog.add([ticket(300), ticket(10)])
    assert lengths(backlog.take(100)) == [300]
    assert lengths(backlog.take(100)) == [10]


def test_every_ticket_comes_out_once_and_the_oldest_is_always_in_the_next_batch():
    rng = random.Random(3)
    backlog = Backlog(BatchSettings(window=16, max_items=8))
    tickets = [ticket(rng.randint(1, 90)) for _ in range(500)]
    backlog.add(tickets)
    seen, waiting = [], list(tickets)
    while batch := backlog.take(200):
        assert waiting[0] in batch
        assert sum(lengths(batch)) <= 200
        assert len(batch) <= 8
        seen += batch
        waiting = [one for one in waiting if one not in batch]
    assert len(seen) == len(set(map(id, seen))) == 500


def test_queries_go_before_bulk_and_models_do_not_mix():
    backlog = Backlog(BatchSettings())
    backlog.add(
        [ticket(5), ticket(5, model=OTHER), ticket(5, Priority.QUERY, OTHER), ticket(5, Priority.QUERY)]
    )
    order = [(one[0].priority, one[0].model) for one in iter(lambda: backlog.take(100), [])]
    assert order == [
        (Priority.QUERY, OTHER),
        (Priority.QUERY, MODEL),
        (Priority.BULK, MODEL),
        (Priority.BULK, OTHER),
    ]


def test_a_bulk_that_waited_too_long_gets_every_other_turn():
    backlog = Backlog(BatchSettings(bulk_patience_s=0.01, max_items=1))
    backlog.add([ticket(5), ticket(5)])
    time.sleep(0.02)
    backlog.add([ticket(5, Priority.QUERY), ticket(5, Priority.QUERY)])
    turns = [backlog.take(100)[0].priority for _ in range(4)]
    assert turns == [Priority.BULK, Priority.QUERY, Priority.BULK, Priority.QUERY]


def test_tickets_nobody_waits_for_are_dropped():
    backlog = Backlog(BatchSettings())
    first, second = ticket(5), ticket(6)
    backlog.add([first, second])
    first.request.future.cancel()
    assert backlog.take(100) == [second]
    assert len(backlog) == 0
