"""The benchmarks compare what is equal. No time is asserted."""

import importlib.util
import json
import platform
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from . import __main__ as benchmarks
from . import against, compiled, faults, growth, numerical, on_gpu, record, timing
from . import task as tasks
from .task import PEERS, peers, rows

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "how-fast.md"
RECORDS = record.read(PAGE.parent.glob("how-fast*.json"))


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch):
    monkeypatch.setattr(timing, "LOOK", 0.01)


def small(mnist, name, dtype):
    (x, t), _ = mnist
    make, doing, floor = benchmarks.WORKLOADS[name]
    return make((x[:1000].copy(), t[:1000].copy()), dtype), doing, floor


@pytest.mark.parametrize("package", PEERS)
@pytest.mark.parametrize("name", benchmarks.WORKLOADS)
def test_every_peer_comes_to_the_same_results(mnist, name, package, monkeypatch):
    if not importlib.util.find_spec(package):
        pytest.skip(f"{package} is not installed; it comes with the extra `bench`")
    monkeypatch.setattr(tasks, "PEERS", {package: PEERS[package]})
    if name in benchmarks.ONLY_FLOAT32:
        monkeypatch.setattr(benchmarks, "CHECKED", 3)  # images take their time
    for dtype in (np.float64,) if name == "W4b" else (np.float32, np.float64):
        task, doing, _ = small(mnist, name, dtype)
        found = {k: v for k, v in peers(task, doing).items() if "compile" not in k}  # which takes a minute a network
        with timing.one_thread():
            benchmarks.compare(name, task, found)


@pytest.mark.parametrize("name", ["784-50-10, SGD", "784-100x5-10, batch norm, SGD"])
def test_the_compiled_step_comes_to_the_results_of_the_one_by_hand(mnist, name):
    pytest.importorskip("jax", reason="JAX is not installed; it comes with the extra `scale`")
    from . import with_jax

    task = compiled.NETWORKS[name](mnist[0], np.float32)
    losses = [timing.results(make(task, rows(task)), 10) for make in (with_jax.jitted, compiled.ours)]
    assert timing.disagreement(*losses) < 1e-5


def test_the_script_for_graphics_cards_runs_on_the_processor(capsys):
    pytest.importorskip("jax", reason="JAX is not installed; it comes with the extra `scale`")
    name = "784-50-10, SGD, batch 100"
    table, names = on_gpu.measure("cpu", {name: on_gpu.NETWORKS[name]})
    assert name in table
    assert "JAX, compiled cpu" in names
    assert "CuPy" in capsys.readouterr().err


@pytest.mark.parametrize("name", benchmarks.WORKLOADS)
def test_the_floor_and_the_library_run(mnist, name, monkeypatch):
    monkeypatch.setattr(tasks, "PEERS", {})
    task, doing, floor = small(mnist, name, np.float32)
    found = peers(task, doing) | floor(task)
    assert list(found) == [record.OURS, record.FLOOR]
    for make in found.values():
        make()()


def falling(by):
    loss = 3.0

    def step():
        nonlocal loss
        loss *= by
        return loss

    return step


def test_a_peer_that_computes_something_else_stops_the_benchmark():
    ours = partial(falling, 0.9)
    benchmarks.check({benchmarks.OURS: ours, "same": partial(falling, 0.9)}, 10, 1e-12)
    with pytest.raises(SystemExit, match=r"^other: its results differ by .* from those of nnfunc$"):
        benchmarks.check({benchmarks.OURS: ours, "other": partial(falling, 0.9001)}, 10, 1e-5)


def test_many_steps_at_once_are_compared_one_by_one():
    one = falling(0.5)

    def four():
        return np.array([one() for _ in range(4)])

    four.taken = 4
    assert timing.results(four, 6).tolist() == timing.results(falling(0.5), 6).tolist()


def test_the_table_names_the_best_variant_and_leaves_a_hole_for_a_missing_peer():
    taken = {"nnfunc": [2e-6, 3e-6, 2e-6], "torch eager: slow": [9e-6] * 3, "torch eager: fast": [4e-6, 6e-6, 5e-6]}
    assert timing.best(taken, "torch eager") == "torch eager: fast"
    assert timing.best(taken, "torch") is None
    row = benchmarks.row(taken, {"nnfunc": 1.0}) | {"workload": "W", "dtype": "float32"}
    other = {"workload": "V", "dtype": "float32", "microseconds": {"nnfunc": 7.0}, "cores": {}}
    other |= {"ratios": row["ratios"] | {"jax.jit": 0.25, "torch eager": None}, "variants": {}}
    assert record.ratios({"": [row, other]}).splitlines() == [
        "| nnfunc ÷ | PyTorch eager | JAX jit | nnfunc, ms | its middle half |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| W | 0.50 | – | 0.002 | 1.00 to 1.25 |",
        "| V | – | 0.25 | 0.007 | – |",
    ]
    assert "middle half" not in record.ratios({"": [other]})


def kept(date, update, **about):
    """A record without rows."""
    about |= {"date": date, "processor": "P", "cores": "anywhere", "versions": {"Python": "3.11"}, "rounds": 1}
    parts = {"the update": update, "the whole step": 20.0, "the product left out": 5.0}
    return {"circumstances": about, "rows": [], "parts": parts}


def test_several_records_stand_beside_each_other_the_earliest_first(tmp_path, capsys):
    files, page = [tmp_path / "late.json", tmp_path / "early.json"], tmp_path / "page.md"
    for file, found in zip(files, [kept("2026-12-01", 8.0), kept("2026-11-01", 9.0)], strict=True):
        file.write_text(json.dumps(found), encoding="utf-8")
    page.write_text(f"{record.FROM}{record.TO}", encoding="utf-8")
    benchmarks.main(["--records", *map(str, files), "--page", str(page)])
    text = capsys.readouterr().out.strip()
    assert page.read_text("utf-8") == f"{record.FROM}\n\n{text}\n\n{record.TO}"
    assert text.splitlines()[:8] == [
        "**A**: 2026-11-01, P, anywhere; Python 3.11. Medians of 1 rounds.",
        "",
        "**B**: 2026-12-01, P, anywhere; Python 3.11. Medians of 1 rounds.",
        "",
        "**A step of W1 (sigmoid), float32**",
        "",
        "| part | µs | share |",
        "| --- | ---: | ---: |",
    ]
    assert text.splitlines()[8:10] == ["| the update, A | 9 | 45% |", "| the update, B | 8 | 40% |"]


def test_a_record_made_beside_other_processes_says_so(monkeypatch):
    monkeypatch.setattr(timing, "_load", lambda: 0.5)
    for ours, beside in [(9.8, False), (8.0, True)]:
        looks = iter(np.array([[0, 0, 0, 0], [3, 0, 6, 6], [13, ours, 26, 16]]))  # wall, own, everyone, idle
        monkeypatch.setattr(timing, "clocks", partial(next, looks))
        with timing.neighbours() as seen:
            pass
        share = round((10 - ours) / 20, 6)
        assert seen["others"] == pytest.approx([0, share])
        assert {name: seen[name] for name in ("seconds", "load", "beside")} == {
            "seconds": 10,
            "load": [0.5, 0.5],
            "beside": beside,
        }
        told = record.tables(kept("2026-11-01", 9.0, **seen))
        assert "Load 0.50 before and 0.50 after. Other processes took 0% of the time of" in told
        assert f"before, and {share:.0%} during the run." in told
        assert ("made beside other processes" in told) is beside


def test_where_the_system_tells_nothing_the_record_says_nothing(monkeypatch):
    monkeypatch.setattr(timing, "_load", lambda: None)
    monkeypatch.setattr(timing.Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError))
    with timing.neighbours() as seen:
        pass
    assert seen.keys() == {"seconds"}
    assert record.around(seen) == ""


@pytest.mark.skipif(not faults.resource, reason="the system does not count page faults for us")
def test_page_faults_are_counted_in_processes_of_their_own(monkeypatch, capsys):
    monkeypatch.setattr(faults, "STEPS", {"W4": faults.STEPS["W4"]})
    rows = faults.measure(rounds=1, images=1000)
    assert [row["before"] for row in rows] == [*faults.BEFORE]
    if platform.libc_ver()[0] == "glibc":
        nothing, *cured = (row["faults"] for row in rows)
        assert max(cured) < nothing / 4, "the line cures it, and so does load_mnist, which frees large blocks"
    monkeypatch.setattr(faults, "measure", lambda: rows)
    monkeypatch.setattr(timing, "one_core", lambda: "anywhere")
    benchmarks.main(["--faults"])
    assert "| W4, the line |" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"(?s)^page faults, W9: .*KeyError"):
        faults.fresh("W9", "nothing", 1)


def test_the_page_has_the_line_that_cures():
    assert faults.CURE in PAGE.read_text("utf-8")


def test_the_whole_program_writes_its_record_and_its_page_with_holes(mnist, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(tasks, "PEERS", {})
    monkeypatch.setattr(benchmarks.timing, "one_core", lambda: "anywhere")
    monkeypatch.setattr(benchmarks.nn, "load_mnist", lambda: ([a[:1000] for a in mnist[0]], None))
    kept, page = tmp_path / "record.json", tmp_path / "page.md"
    page.write_text(f"before\n{record.FROM}\nold\n{record.TO}\nafter\n", encoding="utf-8")
    benchmarks.main(["W1 relu", "--quick", "--rounds", "1", "--json", str(kept), "--page", str(page)])
    found = json.loads(kept.read_text("utf-8"))
    assert [row["workload"] for row in found["rows"]] == ["W1 relu"]
    assert found["rows"][0]["ratios"]["torch eager"] is None
    assert found["rows"][0]["ratios"][record.FLOOR] > 0
    low, high = found["rows"][0]["spread"]
    assert low <= 1 <= high
    assert found["circumstances"]["seconds"] > 0
    text = record.tables(found)
    assert page.read_text("utf-8") == f"before\n{record.FROM}\n\n{text}\n\n{record.TO}\nafter\n"
    assert text in capsys.readouterr().out


@pytest.mark.skipif(not (shutil.which("git") and (against.ROOT / ".git").exists()), reason="not a checkout of git")
def test_a_revision_is_timed_beside_this_tree_and_nothing_of_it_stays(mnist, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(benchmarks.timing, "one_core", lambda: "anywhere")
    monkeypatch.setattr(benchmarks.nn, "load_mnist", lambda: ([a[:1000] for a in mnist[0]], None))
    monkeypatch.setattr(against.tempfile, "tempdir", str(tmp_path))
    benchmarks.main(["W3", "W5", "--against", "HEAD", "--quick", "--rounds", "1"])
    told, ratios, calls = capsys.readouterr().out.split("\n\n")
    assert f"the revision {against.git('describe', '--always', 'HEAD')}.\n" in told
    assert record.processor() in told
    rows = [line.strip("| ").split(" | ") for line in ratios.splitlines()[2:]]
    assert [row[0] for row in rows] == ["W3", "W5"]
    assert all(float(row[2]) > 0 < float(row[4]) for row in rows)
    assert [line.strip("| ").split(" | ")[0] for line in calls.splitlines()[2:]] == ["affine", "relu"]
    with pytest.raises(SystemExit, match=r"^git worktree: .*no-such-revision"):
        benchmarks.main(["W5", "--against", "no-such-revision"])
    assert [*tmp_path.iterdir()] == []
    assert str(tmp_path) not in against.git("worktree", "list")
    assert not [name for name in sys.modules if name.startswith("nnfunc_")]


def test_a_copy_of_the_package_has_modules_of_its_own_and_computes_the_same(mnist):
    make, doing, _ = benchmarks.WORKLOADS["W3"]
    data = [a[:1000] for a in mnist[0]]
    with against.package(against.ROOT, "nnfunc_copy") as copy:
        assert copy.ops is sys.modules["nnfunc_copy.ops"] is not benchmarks.nn.ops
        ours, theirs = (timing.results(against.step(nn, make, doing, data), 3) for nn in (benchmarks.nn, copy))
        assert ours.tolist() == theirs.tolist()
    assert against.dense.nn is benchmarks.nn


def test_the_page_shows_its_record():
    """Whatever the tables say, nobody has typed it."""
    assert record.in_page(PAGE.read_text("utf-8"), *RECORDS) == PAGE.read_text("utf-8")
    for kept in RECORDS:
        assert {row["workload"] for row in kept["rows"]} == benchmarks.WORKLOADS.keys()
        assert [s["batch"] for s in kept["growth"]["batch"]] == [*growth.BATCHES]
        assert [s["width"] for s in kept["growth"]["width"]] == [*growth.WIDTHS]
        assert not kept["circumstances"].get("beside")


@pytest.mark.parametrize("kept", RECORDS)
def test_what_the_page_says_of_its_numbers_is_so(mnist, kept):
    rows = {(row["workload"], row["dtype"]): row for row in kept["rows"]}
    ours = {key: row["microseconds"][record.OURS] for key, row in rows.items()}
    slower = [ours[name, dtype] / ours[name, "float32"] for name, dtype in ours if dtype == "float64"]
    assert len(slower) == 4
    assert min(slower) > 1.2
    deep = rows["W4b", "float32"]["ratios"]
    assert deep["torch eager"] > 1
    assert deep["torch eager"] / deep[record.FLOOR] > 0.8  # the products, beside all of PyTorch's step
    assert 0.78 < np.mean(mnist[0][0] == 0) < 0.82
    assert round(2 * benchmarks.nn.count_params(benchmarks.nn.init_mlp(0, (784, 50, 10))), -4) == 80_000


def test_peers_take_turns_and_every_step_is_counted():
    calls = []
    steps = {name: lambda name=name: calls.append(name) for name in ("a", "b", "c")}
    taken, cores = timing.seconds(steps, rounds=3, target=1e-9)
    assert "".join(calls[-9:]) == "abc" + "bca" + "cab"
    assert {name: len(rounds) for name, rounds in taken.items()} == {"a": 3, "b": 3, "c": 3}
    assert cores.keys() == steps.keys()


def test_steps_that_are_alike_take_many_short_turns_and_are_made_anew_in_each_round():
    made = []
    makes = {name: lambda name=name: made.append(name) or (lambda: sum(range(1000))) for name in ("a", "b", "c")}
    taken = timing.in_turns(makes, rounds=3, seconds_in_all=0.3)
    assert "".join(made) == "a" + "bca" + "cab" + "abc"
    assert taken.keys() == makes.keys()
    assert len({spent.shape for spent in taken.values()}) == 1
    assert len(taken["a"]) == 3
    assert all((spent > 0).all() for spent in taken.values())


def test_rows_are_those_of_the_librarys_batches(mnist):
    task, *_ = small(mnist, "W2", np.float32)
    x, _ = next(benchmarks.nn.minibatches(task.x, task.t, task.batch, task.seed))
    assert np.array_equal(task.x[next(rows(task))], x)


def test_the_numerical_gradient_is_compared_and_timed(mnist, monkeypatch):
    monkeypatch.setitem(numerical.NETWORKS, "small", ((784, 5, 10), benchmarks.nn.layers.relu, 10))
    monkeypatch.setattr(numerical, "SAMPLE", 5)
    found = numerical.measure("small", mnist[0], 1)
    assert found["parameters"] == 784 * 5 + 5 + 5 * 10 + 10
    assert found["brute force"] > 0 < found["structured"]
    monkeypatch.setattr(numerical, "CLOSE", 0.0)
    with pytest.raises(SystemExit, match=r"^W6, small: the two ways differ by"):
        numerical.measure("small", mnist[0], 1)
