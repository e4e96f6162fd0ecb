"""The experiments of chapter 6 at a smaller size, and the record of a full run."""

import multiprocessing
import site
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from .experiments import __main__ as experiments
from .experiments import batch_norm, initial_weights, optimizers, overfitting, search

RECORD = Path(experiments.__file__).with_name("record.md")


def check(experiment, curves, bands):
    """Every number lies in its band, and what the picture is to show is true."""
    summary = experiment.summary(curves)
    assert {name: summary[name] for name in experiments.outside(summary, bands)} == {}
    assert [claim for claim, true in experiment.claims(summary).items() if not true] == []


@pytest.mark.rows("S3-35", "S3-36")
def test_optimizers(mnist):
    curves = optimizers.run(mnist, steps=300)
    bands = {
        "SGD: loss after": (0.55, 0.85),
        "Momentum: loss after": (0.19, 0.28),
        "Nesterov: loss after": (0.17, 0.245),
        "AdaGrad: loss after": (0.07, 0.125),
        "RMSprop: loss after": (0.14, 0.3),
        "Adam: loss after": (0.14, 0.2),
        "SGD: test": (0.81, 0.88),
        "Momentum: test": (0.91, 0.95),
        "Nesterov: test": (0.91, 0.95),
        "AdaGrad: test": (0.935, 0.965),
        "RMSprop: test": (0.86, 0.95),
        "Adam: test": (0.93, 0.96),
    }
    check(optimizers, curves, bands)
    assert curves["RMSprop"]["loss after"][1][0] > 5, "its first step is ten times as long as its later ones"
    assert len({c["loss"][1][0] for c in curves.values()}) == 1, "the same weights and the same first batch"
    for c in curves.values():
        np.testing.assert_array_equal(c["loss"][0], np.arange(1, 301))


@pytest.mark.rows("S3-37")
def test_initial_weights(mnist):
    bands = {
        "0.01: loss after": (2.295, 2.305),
        "1/√n: loss after": (1.85, 2.2),
        "Xavier: loss after": (1.5, 1.95),
        "He: loss after": (0.55, 0.85),
        "0.01: test": (0.09, 0.12),
        "1/√n: test": (0.3, 0.7),
        "Xavier: test": (0.55, 0.78),
        "He: test": (0.81, 0.88),
    }
    check(initial_weights, initial_weights.run(mnist, steps=300), bands)


@pytest.mark.rows("S3-38")
def test_batch_norm(mnist):
    scales = [batch_norm.SCALES[i] for i in (0, 2, 6, 15)]
    curves = batch_norm.run(mnist, scales=scales)
    names = {f"{scale:.3g}: {net}" for scale in scales for net in ("plain", "batch norm")}
    bands = {name: band for name, band in batch_norm.BANDS.items() if name in names}
    assert len(bands) == 7
    check(batch_norm, curves, bands)
    for panel in curves.values():
        for steps, values in panel.values():
            np.testing.assert_array_equal(steps, np.arange(1, 192, 10))
            assert values[0] < 0.35, "after one step it is next to chance"


@pytest.mark.rows("S3-39")
def test_overfitting(mnist):
    check(overfitting, overfitting.run(mnist, every=201), overfitting.BANDS)


@pytest.mark.rows("S3-39")
def test_search(mnist):
    trials = search.run(mnist, trials=20, epochs=20)
    assert [trial.error for trial in trials] == [None] * 20
    scores = np.array([trial.metrics["score"] for trial in trials])
    assert (np.diff(scores) <= 0).all(), "the best first"
    bands = {
        "best score": (0.2, 0.7),
        "last score": (0.0, 0.13),
        "share of draws with lr below 0.001": (0.5, 0.95),
        "share of draws with lam below 1e-6": (0.25, 0.75),
        "rank correlation of score and lr": (0.2, 0.95),
    }
    summary = search.summary(trials)
    assert {name: summary[name] for name in experiments.outside(summary, bands)} == {}
    assert trials[0].settings["lr"] > 0.001
    for trial in trials:
        assert trial.metrics["validation"][-1] == trial.metrics["score"]
        assert len(trial.metrics["train"]) == 20


@pytest.mark.rows("S3-39")
def test_a_search_finds_the_same_by_a_process_pool(mnist):
    (x, t), test = mnist
    small = (x[:100], t[:100]), test
    settings = {"trials": 4, "epochs": 2, "batch_size": 20, "hidden": 1}
    alone = search.run(small, seed=1, **settings)
    # A new process has to find this package, wherever the tests were started from.
    found = {"initializer": site.addsitedir, "initargs": (str(Path(__file__).parents[1]),)}
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), **found) as pool:
        together = search.run(small, seed=1, map=pool.map, **settings)
    for one, other in zip(alone, together, strict=True):
        assert (one.settings, one.error) == (other.settings, None)
        np.testing.assert_equal(one.metrics, other.metrics)
    assert [trial.settings for trial in search.run(small, seed=2, **settings)] != [trial.settings for trial in alone]


# The command and its record

COIN = {
    "__doc__": "Coin: heads or tails.",
    "run": lambda data, seed: seed,
    "summary": lambda seed: {"heads": seed / 10},
    "claims": lambda summary: {"it fell": summary["heads"] > 0},
    "SOURCES": {"heads": ".5"},
    "BANDS": {"heads": (0.1, 0.4)},
}


@pytest.fixture
def toss(monkeypatch):
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"coin": SimpleNamespace(**COIN)})
    return lambda *argv: experiments.main([*argv])


def test_the_command_prints_a_table_and_writes_it_where_it_is_told(toss, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toss("coin", "--seeds", "3", "1")
    printed = capsys.readouterr().out
    assert printed.endswith(
        "## Coin\n\nHeads or tails.\n\n"
        "|  | seed 3 | seed 1 | the sources' programs | band |\n| --- | ---: | ---: | ---: | ---: |\n"
        "| heads | 0.3 | 0.1 | .5 | 0.1 to 0.4 |\n\n"
        "- it fell: yes, yes\n\nSeconds of one core: 0, 0.\n"
    )
    assert list(tmp_path.iterdir()) == []
    toss("--seeds", "3", "1", "--out", "record.md")
    assert (tmp_path / "record.md").read_text(encoding="utf-8") == capsys.readouterr().out == printed


def test_the_command_fails_when_a_number_leaves_its_band_or_a_claim_is_not_true(toss, capsys):
    with pytest.raises(SystemExit) as stop:
        toss("--seeds", "0", "2", "5")
    assert str(stop.value).splitlines() == [
        "coin: seed 0: heads is 0",
        "coin: seed 0: not true: it fell",
        "coin: seed 5: heads is 0.5",
    ]
    with pytest.raises(SystemExit):
        toss("dice")
    assert "no experiment is named dice" in capsys.readouterr().err


def test_a_missing_number_and_nan_lie_outside():
    assert experiments.outside({"a": np.nan, "c": 1.0}, {"a": (0, 1), "b": (0, 1), "c": (0, 1)}) == ["a", "b"]


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_the_record_of_a_full_run_lies_in_the_bands(name):
    experiment = experiments.EXPERIMENTS[name]
    title = experiment.__doc__.partition(":")[0]
    page = RECORD.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0].splitlines()
    rows = {cells[0]: cells[1:] for line in page if line.startswith("| ") for cells in [line.strip("| ").split(" | ")]}
    numbers = {row: [float(cell) for cell in cells[:-2]] for row, cells in rows.items() if row in experiment.BANDS}
    assert numbers.keys() == experiment.BANDS.keys()
    for seed in range(3):
        assert experiments.outside({row: cells[seed] for row, cells in numbers.items()}, experiment.BANDS) == []
        summary = {row: cells[seed] for row, cells in numbers.items()}
        assert all(experiment.claims(summary).values())
    assert len({len(cells) for cells in numbers.values()} | {3}) == 1
