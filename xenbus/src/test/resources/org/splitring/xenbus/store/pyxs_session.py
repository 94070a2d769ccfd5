"""A session of pyxs with the store that XENSTORED_PATH names: PyxsIT reads what it prints.

After a line that ends with "?" it waits for a line on its input.
"""

import errno
import sys

from pyxs import Client, PyXSError


def say(*words):
    print(*words, flush=True)


def ask(what):
    say(what + "?")
    sys.stdin.readline()


with Client() as client:
    client.write(b"/py/a", b"one two")
    say("read", client.read(b"/py/a"))
    say("default", client.read(b"/py/none", b"nothing"))
    try:
        client.read(b"/py/none")
    except PyXSError as e:
        say("missing", errno.errorcode[e.args[0]])
    client.mkdir(b"/py/b")
    say("list", client.list(b"/py"))
    say("exists", client.exists(b"/py/b"), client.exists(b"/py/c"))
    client.delete(b"/py/b")
    say("list", client.list(b"/py"))
    say("permissions", client.get_perms(b"/py/a"))
    client.set_perms(b"/py/a", [b"n0", b"r7"])
    say("permissions", client.get_perms(b"/py/a"))
    say("home", client.get_domain_path(7))
    say("introduced", client.is_domain_introduced(0), client.is_domain_introduced(7))

    client.transaction()
    client.write(b"/py/t", b"1")
    ask("in transaction")
    say("commit", client.commit())
    ask("after commit")
    client.transaction()
    client.write(b"/py/t", b"2")
    client.rollback()
    say("rolled back", client.read(b"/py/t"))
    client.transaction()
    client.read(b"/py/t")
    ask("change t")
    client.write(b"/py/t", b"4")
    say("commit", client.commit(), client.read(b"/py/t"))

    with client.monitor() as monitor:
        monitor.watch(b"/py/w", b"token")
        events = monitor.wait()
        say("event", *next(events))
        ask("write below w")
        say("event", *next(events))
        client.write(b"/py/w", b"mine")
        say("event", *next(events))
    say("watches", monitor.watched)
