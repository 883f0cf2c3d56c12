"""What other processes do with a database whose URL they are given; each is a script."""

WRITE_AND_WAIT = """
import sys
from isomix.persistence import open_database
from isomix.testing.records import make_job, make_project
with open_database(sys.argv[1]).begin() as unit:
    unit.projects.add(make_project())
    unit.jobs.add(make_job())
    print("written", flush=True)
    sys.stdin.read()
    unit.commit()
"""
"""It is in the middle of a unit of work when it says so."""

FORK = """
import gc, os, sys
from isomix.persistence import open_database

def spend():
    with database.begin() as unit:
        before = unit.usage.spend("o", "2026-01")
        unit.commit()
    return before

database = open_database(sys.argv[1])
database.upgrade()
assert spend() == 0
with database.read() as unit:  # a conversation is going on while the process forks
    assert unit.usage.get("o", "2026-01") == 1
    child = os.fork()
    if not child:
        assert [spend() for _ in range(3)] == [1, 2, 3]
        database.close()
        del unit, database
        gc.collect()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert unit.usage.get("o", "2026-01") == 1
assert spend() == 4
"""
"""Parent and child use one Database object by turns."""
