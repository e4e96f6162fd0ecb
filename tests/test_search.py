"""Search: what is drawn, in which order it comes back, and what is said of trials that fail."""

import importlib
import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import nnfunc as nn

SPACE = {
    "lr": ("log", 1e-6, 1e-2),
    "keep": ("uniform", -1, 3),
    "act": ("choice", ["relu", "tanh", "sigmoid"]),
    "sizes": ("choice", ((50,), (50, 50))),
}


def study(settings, key):
    """A score, an error or nan, by the key alone."""
    if key[1] % 10 == 3:
        raise ZeroDivisionError(f"trial {key[1]}")
    score = np.nan if key[1] % 10 == 7 else np.float32(key[1] % 5) / 4
    return {"score": score, "key": key, "val": [0.1, settings["keep"]]}


def test_settings_are_drawn_from_their_space():
    drawn = [trial.settings for trial in nn.random_search(lambda s, key: {"score": 0}, SPACE, 4000, seed=5)]
    assert list(drawn[0]) == list(SPACE)
    lr, keep = np.array([s["lr"] for s in drawn]), np.array([s["keep"] for s in drawn])
    assert (lr.min() >= 0.999999e-6, lr.max() <= 1.000001e-2) == (True, True)
    assert (keep.min() >= -1, keep.max() <= 3) == (True, True)
    # four decades and four bins of 1000 each, with a deviation of 27; the pairs 250 with 15
    decade, quarter = np.floor(np.log10(lr)).astype(int) + 6, np.floor(keep).astype(int) + 1
    assert abs(np.bincount(decade) - 1000).max() < 110
    assert abs(np.bincount(quarter) - 1000).max() < 110
    assert abs(np.bincount(4 * decade + quarter) - 250).max() < 65, "one name's draw does not depend on another's"
    for name in ("act", "sizes"):
        counts = [sum(s[name] == option for s in drawn) for option in SPACE[name][1]]
        assert sum(counts) == 4000
        assert max(abs(n - 4000 / len(counts)) for n in counts) < 130
    assert {type(s["lr"]) for s in drawn} == {type(s["keep"]) for s in drawn} == {float}


def reversing(f, numbers):
    return reversed([f(i) for i in reversed(list(numbers))])


def shuffling(f, numbers):
    return (f(i) for i in np.random.default_rng(0).permutation(list(numbers)).tolist())


@pytest.mark.parametrize("how", [reversing, shuffling])
def test_the_order_in_which_trials_run_does_not_matter(how):
    assert repr(nn.random_search(study, SPACE, 40, 2, map=how)) == repr(nn.random_search(study, SPACE, 40, 2))


def test_trials_run_in_other_processes(tmp_path, monkeypatch):
    """A process pool wants a trial that stands at the top of a module."""
    (tmp_path / "a_study.py").write_text("def trial(settings, key):\n    return {'score': settings['lr']}\n")
    monkeypatch.syspath_prepend(tmp_path)
    trial = importlib.import_module("a_study").trial
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        there = nn.random_search(trial, SPACE, 12, 2, map=pool.map)
    assert [done.error for done in there] == [None] * 12
    assert repr(there) == repr(nn.random_search(trial, SPACE, 12, 2))


def test_trial_i_depends_on_the_seed_and_on_i_alone():
    def by_number(n, seed):
        trials = nn.random_search(lambda s, key: {"score": -key[1], "key": key}, SPACE, n, seed)
        assert [trial.metrics["key"] for trial in trials] == [(seed, i) for i in range(n)]
        return [trial.settings for trial in trials]

    assert by_number(20, 7)[:8] == by_number(8, 7)
    assert by_number(8, 7) == by_number(8, np.int64(7))
    assert not any(a == b for a, b in zip(by_number(8, 7), by_number(8, 8), strict=True))
    assert len({str(s) for s in by_number(20, 7)}) == 20


def test_results_are_sorted_and_failures_last_with_their_settings():
    trials = nn.random_search(study, SPACE, 40, seed=2)
    assert len(trials) == 40
    well, failed = trials[:32], trials[32:]
    scores = [trial.metrics["score"] for trial in well]
    assert scores == sorted(scores, reverse=True)
    assert {type(score) for score in scores} == {float}
    for score in set(scores):
        numbers = [trial.metrics["key"][1] for trial in well if trial.metrics["score"] == score]
        assert numbers == sorted(numbers), "equal scores stay in the order of their numbers"
    assert all(trial.error is None for trial in well)
    assert all(trial.metrics["val"][1] == trial.settings["keep"] for trial in well), "metrics stay with their settings"
    assert [trial.error for trial in failed if trial.error] == [
        f"ZeroDivisionError: trial {i}" for i in (3, 13, 23, 33)
    ]
    assert sum(np.isnan(trial.metrics.get("score", 0)) for trial in failed) == 4
    alone = nn.random_search(count, SPACE, 40, seed=2)
    assert [trial.settings for trial in failed if trial.error] == [alone[i].settings for i in (3, 13, 23, 33)]


def count(settings, key):
    return {"score": -key[1]}


def test_the_worst_score_of_all_is_still_better_than_none():
    scores = [np.nan, -np.inf, 1.0, np.inf]
    trials = nn.random_search(lambda s, key: {"score": scores[key[1]]}, {}, 4, seed=0)
    assert [trial.metrics["score"] for trial in trials[:3]] == [np.inf, 1.0, -np.inf]


def test_an_error_brings_its_notes():
    def broken(settings, key):
        return nn.predict(nn.mlp(), nn.init_mlp(0, (2, 3)), np.zeros((1, 4)))

    (trial,) = nn.random_search(broken, SPACE, 1, seed=0)
    assert trial.error.splitlines() == [
        "ValueError: affine: x (1, 4), W (2, 3), b (3,); wanted x (..., D), W (D, M), b (M); D is 4 and 2",
        "in layer 0 of 1: affine(W1, b1), input shape (1, 4)",
    ]
    assert trial.settings.keys() == SPACE.keys()


@pytest.mark.parametrize(
    ("metrics", "error"),
    [
        ({}, "the trial returned a dict of 0, wanted a dict with a 'score'"),
        ({"accuracy": 0.5}, "the trial returned a dict of 1, wanted a dict with a 'score'"),
        (0.5, "the trial returned 0.5, wanted a dict with a 'score'"),
        (None, "the trial returned None, wanted a dict with a 'score'"),
        ({"score": None}, "score has dtype object, wanted real numbers"),
        ({"score": "0.9"}, "score has dtype <U3, wanted real numbers"),
        ({"score": 1j}, "score has dtype complex128, wanted real numbers"),
        ({"score": np.ones(2)}, "score has shape (2,), wanted one number"),
    ],
)
def test_a_trial_without_a_score_has_failed_and_says_so(metrics, error):
    first, second = nn.random_search(lambda s, key: metrics if key[1] == 0 else {"score": 0.5}, SPACE, 2, seed=0)
    assert first.metrics["score"] == 0.5
    assert second.metrics == {}
    assert second.error.startswith(f"ValueError: random_search: {error}")


@pytest.mark.parametrize("score", [1, True, np.float32(1), np.array(1.0), np.int8(1)])
def test_any_number_is_a_score(score):
    (trial,) = nn.random_search(lambda s, key: {"score": score, "curve": [score]}, SPACE, 1, seed=0)
    assert (trial.error, trial.metrics) == (None, {"score": 1.0, "curve": [score]})
    assert type(trial.metrics["score"]) is float


def test_networks_that_diverged_come_last():
    """Their scores are nan, and so is their accuracy."""
    x, t = nn.spiral(0, points=20)

    def trial(settings, key):
        params = nn.init_mlp(key[1], (2, 3))
        broken = {name: p * np.nan for name, p in params.items()} if key[1] % 2 else params
        return {"score": nn.accuracy(nn.predict(nn.mlp(), broken, x), t)}

    trials = nn.random_search(trial, SPACE, 8, seed=0)
    assert [np.isnan(trial.metrics["score"]) for trial in trials] == [False] * 4 + [True] * 4
    assert all(trial.error is None for trial in trials)


def test_settings_are_those_of_the_first_release():
    """The construction of 2026, written out: a search that is told with its seed can be made again."""
    trials = nn.random_search(lambda s, key: {"score": -key[1]}, SPACE, 5, seed=11)
    for i, trial in enumerate(trials):
        rng = np.random.default_rng(np.random.SeedSequence(11, spawn_key=(i,)))
        assert trial.settings == {
            "lr": float(np.exp(rng.uniform(np.log(1e-6), np.log(1e-2)))),
            "keep": float(rng.uniform(-1, 3)),
            "act": ["relu", "tanh", "sigmoid"][rng.integers(3)],
            "sizes": ((50,), (50, 50))[rng.integers(2)],
        }


@pytest.mark.parametrize("trial", ["f", None, 3])
def test_what_is_no_trial_is_refused_before_the_first(trial):
    message = f"random_search: trial is {trial!r}, wanted a function trial(settings, key)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nn.random_search(trial, SPACE, 3, seed=0)


@pytest.mark.parametrize("space", [None, [("log", 1, 2)], "log"])
def test_what_is_no_space_at_all_is_refused(space):
    with pytest.raises(ValueError, match=r"^random_search: space is .*, wanted a dict$"):
        nn.random_search(study, space, 3, seed=0)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_whoever_stops_a_search_stops_it(stop):
    def trial(settings, key):
        raise stop

    with pytest.raises(stop):
        nn.random_search(trial, SPACE, 3, seed=0)


@pytest.mark.parametrize(
    "kind",
    [
        ("log", 0, 1),
        ("log", -1, 1),
        ("log", 1e-2, 1e-6),
        ("log", "a", "b"),
        ("log", 1, np.inf),
        ("log", 1),
        ("uniform", 2, 1),
        ("uniform", 0, np.inf),
        ("uniform", -np.inf, 0),
        ("uniform", np.nan, 1),
        ("uniform", None, 1),
        ("uniform", False, True),
        ("choice", []),
        ("choice", 3),
        ("choice", "relu"),
        ("loguniform", 1, 2),
        (),
        3,
        None,
    ],
)
def test_a_bad_space_is_refused_before_the_first_trial(kind):
    def trial(settings, key):
        raise AssertionError("a trial ran")

    message = (
        f"random_search: dropout is {kind!r}, "
        "wanted ('log', a, b) with 0 < a <= b, ('uniform', a, b) or ('choice', [...])"
    )
    for n in (0, 3):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            nn.random_search(trial, {"lr": ("log", 1e-6, 1), "dropout": kind}, n, seed=0)


@pytest.mark.parametrize(("n", "seed"), [(-1, 0), (2.0, 0), (True, 0), (3, -1), (3, None)])
def test_bad_numbers_are_refused_before_the_first_trial(n, seed):
    with pytest.raises(ValueError, match=r"^random_search: (n|seed) is .*, wanted an int from 0 up$"):
        nn.random_search(study, SPACE, n, seed)


def test_no_trials_and_ranges_of_one_point():
    assert nn.random_search(study, SPACE, 0, seed=0) == []
    space = {"a": ("uniform", 2, 2), "b": ("log", 0.5, 0.5), "c": ("choice", range(3, 4)), "d": ("choice", [None])}
    (trial,) = nn.random_search(count, space, 1, seed=0)
    assert trial.settings == {"a": 2, "b": pytest.approx(0.5), "c": 3, "d": None}


def test_a_search_finds_good_settings():
    """The parts together: data split, a short training for each trial, the best first."""
    (x, t), (x_val, t_val) = nn.train_validation_split(*nn.spiral(0, points=60), 0.25, seed=0)

    def trial(settings, key):
        optimizer = nn.sgd(settings["lr"])
        step = nn.train_step(
            nn.with_weight_decay(nn.value_and_grad(nn.mlp(), nn.ops.softmax_cross_entropy), settings["lam"]), optimizer
        )
        state = nn.init_state(optimizer, nn.init_mlp(key[1], (2, 30, 3)), seed=key[0])
        *_, (state, _) = nn.fit(step, state, nn.minibatches(x, t, 20, seed=key[1]), 300)
        return {"score": nn.accuracy(nn.predict(nn.mlp(), state.params, x_val), t_val)}

    trials = nn.random_search(trial, {"lr": ("log", 1e-5, 1.0), "lam": ("log", 1e-8, 1.0)}, 20, seed=0)
    assert trials[0].metrics["score"] > 0.75
    assert trials[-1].metrics["score"] < 0.4
    assert min(trial.settings["lr"] for trial in trials[:3]) > 0.05
    assert max(trial.settings["lam"] for trial in trials[:3]) < 0.001
