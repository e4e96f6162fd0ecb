"""The page "When one machine is too small": its programs print what it says, and nothing is lost with a process.

The programs run in processes of their own, where a warning is an error.
"""

import re

import numpy as np
import pytest

import nnfunc as nn

from .benchmarks import machines

PAGE = machines.PAGE.read_text("utf-8")
PROGRAMS = machines.programs(PAGE)
RUNS = dict(re.findall(r"(?ms)^```console\n\$ (?:\w+=\w+ )?python (\w+\.py)\n(.*?)^```$", PAGE))
NEEDED = {"cluster.py": "distributed", "eight.py": "jax"}

# What the tests add to the page's programs
DIE = """
import os, signal

def die_once():
    try:
        os.close(os.open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "died"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
"""


def needs(package):
    pytest.importorskip(package, reason=f"{package} comes with the extra `scale`")


def checked(folder, code):
    """What a program says that stands beside those of the page."""
    (folder / "die.py").write_text(DIE, encoding="utf-8")
    (folder / "check.py").write_text(code, encoding="utf-8")
    return machines.run(folder, PAGE, "check.py")


def died(folder):
    return (folder / "died").exists()


# The page


@pytest.mark.parametrize("name", RUNS)
def test_a_program_prints_what_the_page_says(tmp_path, name):
    if name in NEEDED:
        needs(NEEDED[name])
    assert machines.run(tmp_path, PAGE, name) == RUNS[name]


def test_no_program_is_left_out():
    assert set(RUNS) | {"study.py", "lasting.py"} == set(PROGRAMS)
    assert PAGE.count("```python") == len(PROGRAMS) + 1
    assert [line for code in PROGRAMS.values() for line in code.splitlines() if len(line) > 76] == []


def test_rows_may_be_sent_in_place_of_images(mnist):
    (code,) = re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE)
    (images, t), _ = mnist
    made = nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy)
    found = {"images": images, "made": made}
    exec(code, found)
    params, rows = nn.init_mlp(0, (784, 5, 10)), np.array([5, 3, 900, 7, 7])
    _, wanted, _ = nn.in_parts(made, 2)(params, images[rows], t[rows])
    _, got, _ = nn.in_parts(found["grad"], 2)(params, rows, t[rows])
    assert all(np.array_equal(got[name], wanted[name]) for name in wanted)


def test_the_table_of_workers_counts_what_is_sent():
    table = PAGE.partition("<!-- two workers, from the script -->")[2].partition("<!-- to here -->")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines() if line[:3] != "| -"]
    rows = [row for row in rows if row[0] in machines.SIZES]
    assert {row[0] for row in rows} == set(machines.SIZES)
    data = np.zeros((100, 784), np.float32), np.zeros(100, int)
    for name, parameters, sent, *_ in rows:
        count = nn.count_params(machines.SIZES[name][0](data, np.float32).params)
        assert (parameters, sent) == (f"{count:,}", f"{2 * 4 * count:,}")


def test_tables_are_written_between_their_marks():
    marks = [f"<!-- {name}, from the script -->" for name in ("memory", "sharding", "two workers")]
    text = "\n".join(f"{mark}\nold\n<!-- to here -->" for mark in marks)
    new = machines.in_page(text, {"memory": "A", "two workers": "B"})
    assert re.findall(r"(?m)^(?:A|B|old)$", new) == ["A", "old", "B"]
    assert machines.in_page(new, {"memory": "A"}) == new
    with pytest.raises(ValueError, match="lacks the marks of speed"):
        machines.in_page(text, {"speed": "A"})
    assert [mark for mark in marks if mark not in PAGE] == []


# A search


def trial(settings, key):
    return {"score": key[1] % 5}


def breaking_off(after, error):
    """A map that gets so far, in its own order."""

    def sent(f, items):
        for i in [4, 0, 3, 1, 2][:after]:
            yield f(items[i])
        if error:
            raise error

    return sent


@pytest.mark.parametrize(
    ("error", "told"),
    [(None, "Exception: map ended before it"), (OSError("no room"), "OSError: no room"), (KeyError(3), "KeyError: 3")],
)
@pytest.mark.parametrize("after", [0, 2, 4])
def test_a_search_keeps_what_is_done_and_names_what_is_not(error, told, after):
    space = {"lr": ("log", 1e-3, 1.0)}
    whole = {t.settings["lr"]: t for t in nn.random_search(trial, space, 5, seed=1)}
    found = nn.random_search(trial, space, 5, seed=1, map=breaking_off(after, error))
    assert [t.error for t in found] == [None] * after + [told] * (5 - after)
    assert [t.metrics["score"] for t in found[:after]] == sorted((4, 0, 3, 1, 2)[:after], reverse=True)
    assert {t.settings["lr"] for t in found} == whole.keys()
    assert all(t.metrics == {} for t in found[after:])
    assert all(t == whole[t.settings["lr"]] for t in found[:after])


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_whoever_stops_the_map_stops_the_search(stop):
    with pytest.raises(stop):
        nn.random_search(trial, {}, 5, seed=1, map=breaking_off(2, stop()))


SEARCH = """
import lasting, nnfunc as nn, study
from die import die_once

space = study.space | {"hidden": ("choice", [8, 32])}

def trial(settings, key):
    if key[1] == 1:
        die_once()
    return study.trial(settings, key)

if __name__ == "__main__":
    there, here = (nn.random_search(trial, space, 5, 0, map=map) for map in (lasting.lasting_map, map))
    print(repr(there) == repr(here), [t.error for t in there])
"""


def test_a_search_loses_nothing_with_a_process_that_dies(tmp_path):
    assert checked(tmp_path, SEARCH) == f"True {[None] * 5}\n"
    assert died(tmp_path)


LOST = """
import os, re, signal, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import lasting, nnfunc as nn

def unsendable(i):
    with open("tried", "a") as file:
        file.write(str(i) * (i == 1))
    return (lambda: 0) if i == 1 else i

def trial(settings, key):
    if key[1] in (2, 5):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"score": key[1], "curve": [lambda: 0] if key[1] == 3 else []}

if __name__ == "__main__":
    found = nn.random_search(trial, {}, 7, 0, map=lasting.lasting_map)
    print([t.metrics.get("score") for t in found])
    (told,) = {t.error for t in found[4:]}
    print(re.findall(r"(\\d): (\\w+)", told))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        found = nn.random_search(trial, {}, 7, 0, map=pool.map)
    print(len(found), {t.error.partition(":")[0] for t in found[-5:]})
    print(list(lasting.lasting_map(abs, [])), list(lasting.lasting_map(abs, range(-3, 0))))
    try:
        for i in lasting.lasting_map(unsendable, range(3)):
            print(i, end=" ")
    except RuntimeError:
        print(open("tried").read())
"""


def test_what_no_process_can_do_or_send_is_named_and_the_rest_is_kept(tmp_path):
    scores, named, pool, small, once = checked(tmp_path, LOST).splitlines()
    assert scores == "[6.0, 4.0, 1.0, 0.0, None, None, None]"
    assert re.fullmatch(r"\[\('2', 'BrokenProcessPool'\), \('3', '(\w*Error)'\), \('5', 'BrokenProcessPool'\)\]", named)
    assert pool == "7 {'concurrent.futures.process.BrokenProcessPool'}"
    assert small == "[] [3, 2, 1]"
    assert once == "0 2 1", "what cannot be sent is not tried again"


# A step


STEP = """
import nnfunc as nn, train
from die import die_once

def deadly(params, x, t, mode):
    if mode.key == (0, 12, 1):
        die_once()
    return train.grad(params, x, t, mode)

if __name__ == "__main__":
    killed, whole = train.trained(deadly, 25), train.trained(train.grad, 25)
    print(killed.step, killed.opt["t"], all((killed.params[n] == p).all() for n, p in whole.params.items()))
"""


def test_a_run_in_processes_loses_nothing_with_one_that_dies(tmp_path):
    assert checked(tmp_path, STEP) == "25 25 True\n"
    assert died(tmp_path)


CLUSTER = """
from functools import partial
import cluster, nnfunc as nn, study
from dask.distributed import Client, LocalCluster
from die import die_once

made = nn.value_and_grad(cluster.net, cluster.loss)

def deadly(params, x, t, mode):
    if mode.key == (0, 12, 1):
        die_once()
    return made(params, x, t, mode)

def trial(settings, key):
    if key[1] == 1:
        die_once()
    return study.trial(settings | {"hidden": 8}, key)

if __name__ == "__main__":
    with (LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local, Client(local) as client):
        there = partial(cluster.on_workers, client)
        far, near = cluster.trained(deadly, there), cluster.trained(made, map)
        print(far.step, all((far.params[name] == near.params[name]).all() for name in near.params))
        import os, die
        os.remove(os.path.join(os.path.dirname(die.__file__), "died"))
        far, near = (nn.random_search(trial, study.space, 4, 0, map=send) for send in (there, map))
        print(repr(far) == repr(near), [t.error for t in far])
"""


def test_a_cluster_loses_nothing_with_a_worker_that_dies(tmp_path):
    needs("distributed")
    assert checked(tmp_path, CLUSTER) == f"60 True\nTrue {[None] * 4}\n"
    assert died(tmp_path)
