"""The fold: batches, steps, runs, and a run that is stopped, saved and resumed."""

import io
import itertools
import re

import numpy as np
import pytest

import nnfunc as nn

RULES = {
    "sgd": nn.sgd(0.5),
    "momentum": nn.momentum(0.1),
    "nesterov": nn.nesterov(0.1),
    "adagrad": nn.adagrad(0.1),
    "rmsprop": nn.rmsprop(0.01),
    "adam": nn.adam(0.01),
    "adamw": nn.adamw(0.01, decay=0.1),
}
NET = nn.mlp(nn.layers.sigmoid)
GRAD = nn.value_and_grad(NET, nn.ops.softmax_cross_entropy)


def problem(dtype=np.float32, optimizer=RULES["sgd"], seed=3):
    """Two hundred points of a spiral, the step of a small network, and its first state."""
    x, t = nn.spiral(0, points=50, classes=4)
    params = nn.init_mlp(seed, (2, 8, 4), dtype=dtype)
    return x.astype(dtype), t, nn.train_step(GRAD, optimizer), nn.init_state(optimizer, params, seed=seed)


def first(n, batches):
    return list(itertools.islice(batches, n))


def rows(batches, n):
    """The rows that the first n batches hold, for data in which each sample is its own number."""
    return [x.tolist() for x, _ in first(n, batches)]


def assert_equal_states(one, two):
    assert (one.seed, one.step, one.opt["t"]) == (two.seed, two.step, two.opt["t"])
    assert list(one.opt) == list(two.opt)
    trees = [(one.params, two.params), (one.stats, two.stats)]
    trees += [(one.opt[slot], two.opt[slot]) for slot in one.opt if slot != "t"]
    for a, b in trees:
        assert list(a) == list(b)
        for name in a:
            assert a[name].dtype == b[name].dtype
            assert a[name].tobytes() == b[name].tobytes(), name


# Batches


def numbered(N, batch_size, **settings):
    return nn.minibatches(np.arange(N), np.arange(N), batch_size, **settings)


@pytest.mark.parametrize(("N", "batch_size"), [(12, 3), (12, 12), (12, 1), (1000, 100)])
def test_an_epoch_without_replacement_holds_every_sample_once(N, batch_size):
    batches = numbered(N, batch_size, seed=4)
    for _ in range(3):
        epoch = rows(batches, N // batch_size)
        assert sorted(itertools.chain(*epoch)) == list(range(N))


def test_the_rest_of_an_epoch_is_left_out_and_another_one_each_time():
    batches, left_out = numbered(11, 3), set()
    for _ in range(30):
        epoch = list(itertools.chain(*rows(batches, 3)))
        assert len(epoch) == len(set(epoch)) == 9
        left_out |= set(range(11)) - set(epoch)
    assert left_out == set(range(11))


def test_epochs_differ_and_are_shuffled():
    batches = numbered(100, 100)
    epochs = [tuple(epoch) for epoch in rows(batches, 20)]
    assert len(set(epochs)) == 20
    assert tuple(range(100)) not in epochs
    firsts = np.array(epochs)[:, 0]
    assert len(set(firsts.tolist())) > 10, "the first sample is another one each time"


@pytest.mark.parametrize("replace", [False, True])
def test_a_batch_depends_on_the_seed_and_its_number_alone(replace):
    ten = rows(numbered(17, 5, seed=8, replace=replace), 10)
    assert ten == rows(numbered(17, 5, seed=8, replace=replace), 10)
    for start in range(9):
        later = numbered(17, 5, seed=8, start=start, replace=replace)
        assert rows(later, 10 - start) == ten[start:]
    assert ten != rows(numbered(17, 5, seed=9, replace=replace), 10)
    assert ten == rows(numbered(17, 5, seed=np.int64(8), start=np.int32(0), replace=replace), 10)


def test_a_far_start_costs_no_walk_there():
    far = rows(numbered(10, 5, start=10**12), 2)
    assert sorted(itertools.chain(*far)) == list(range(10))


def test_two_streams_do_not_disturb_each_other_or_the_global_generator():
    wanted, np_state = rows(numbered(10, 2), 8), np.random.get_state()[1].tolist()  # noqa: NPY002
    one, two = numbered(10, 2), numbered(10, 2, seed=1)
    got = []
    for _ in range(8):
        got += rows(one, 1)
        next(two)
        np.random.get_state()  # noqa: NPY002
    assert got == wanted
    assert np.random.get_state()[1].tolist() == np_state  # noqa: NPY002


def test_a_batch_pairs_each_sample_with_its_label_and_keeps_shapes_and_dtypes():
    x, t = np.arange(60, dtype=np.float32).reshape(10, 1, 2, 3), np.arange(10, dtype=np.int16) * 6
    for replace in (False, True):
        for xs, ts in first(7, nn.minibatches(x, t, 4, replace=replace)):
            assert xs.shape == (4, 1, 2, 3)
            assert ts.shape == (4,)
            assert (xs.dtype, ts.dtype) == (np.float32, np.int16)
            assert np.array_equal(xs[:, 0, 0, 0], ts)


def test_batches_are_arrays_of_their_own():
    x, t = np.arange(6.0), np.arange(6)
    x.flags.writeable = t.flags.writeable = False
    xs, ts = next(nn.minibatches(x, t, 6))
    xs[:], ts[:] = -1, -1
    assert x.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.traps("T27")
def test_draws_with_replacement_miss_a_share_of_the_data_and_repeat_some():
    N, size, epochs = 60_000, 100, 4
    batches = rows(numbered(N, size, replace=True), epochs * N // size)
    for k in range(epochs):
        epoch = batches[k * N // size : (k + 1) * N // size]
        # 1 - (1 - 1/N)**N = 63.2 %, with a deviation of 0.13 %
        assert len(set(itertools.chain(*epoch))) / N == pytest.approx(0.632, abs=0.007)
    # one minus the product of (1 - k/N) for k < 100 is 7.9 %; of 2400 batches, with a deviation of 0.55 %
    twice = np.mean([len(set(batch)) < size for batch in batches])
    assert twice == pytest.approx(0.079, abs=0.025)
    without = rows(numbered(N, size), N // size)
    assert not any(len(set(batch)) < size for batch in without)


X5, MASKED = np.zeros(5), np.ma.masked_array(np.zeros(5), [True] + 4 * [False])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(5), np.zeros(4), 2), "minibatches: x has 5 samples, t has 4"),
        ((np.zeros(5), np.zeros(5), 6), "minibatches: batch_size is 6, wanted an int from 1 to 5"),
        ((np.zeros(5), np.zeros(5), 0), "minibatches: batch_size is 0, wanted an int from 1 to 5"),
        ((np.zeros(5), np.zeros(5), -1), "minibatches: batch_size is -1, wanted an int from 1 to 5"),
        ((np.zeros(5), np.zeros(5), True), "minibatches: batch_size is True, wanted an int from 1 to 5"),
        ((np.zeros(0), np.zeros(0), 1), "minibatches: batch_size is 1, wanted an int from 1 to 0"),
        ((np.zeros(5), np.zeros(5), 2, -1), "minibatches: seed is -1, wanted an int from 0 up"),
        ((np.zeros(5), np.zeros(5), 2, None), "minibatches: seed is None, wanted an int from 0 up"),
        ((np.zeros(5), np.zeros(5), 2, 0, -3), "minibatches: start is -3, wanted an int from 0 up"),
        ((np.zeros(5), np.zeros(5), 2, 0, 1.0), "minibatches: start is 1.0, wanted an int from 0 up"),
        ((np.zeros(5), np.zeros(5), 2, 0, 0, 1), "minibatches: replace is 1, wanted True or False"),
        ((3.0, np.zeros(5), 2), "minibatches: x has shape (); wanted (N, ...)"),
        (((np.zeros(5), np.zeros((4, 2))), np.zeros(5), 2), "minibatches: x has shape (5,), (4, 2); wanted (N, ...)"),
        (((np.zeros(5), np.zeros(5)), np.zeros(4), 2), "minibatches: x has 5 samples, t has 4"),
        ((MASKED, np.zeros(5), 2), "minibatches: x is a masked array, whose mask would be lost; wanted x.filled(...)"),
        ((np.zeros(5), MASKED, 2), "minibatches: t is a masked array, whose mask would be lost; wanted t.filled(...)"),
        (((X5, MASKED), X5, 2), "minibatches: x is a masked array, whose mask would be lost; wanted x.filled(...)"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nn.minibatches(*arguments)


def test_a_batch_size_that_is_no_whole_number_is_refused():
    with pytest.raises(ValueError, match=r"^minibatches: batch_size is 2\.5, wanted"):
        numbered(5, 2.5)


@pytest.mark.parametrize("replace", [False, True])
def test_batches_are_those_of_the_first_release(replace):
    """The construction of 2026, written out: runs that were saved then go on with the same batches."""
    x, drawn = np.arange(23) * 7, first(12, nn.minibatches(np.arange(23) * 7, np.arange(23), 5, 9, 2, replace))
    stream, number = np.random.PCG64(np.random.SeedSequence(9, spawn_key=(0,))), 0
    for epoch in range(4):
        rng = np.random.Generator(stream.jumped(epoch + 1))
        order = rng.integers(23, size=23) if replace else rng.permutation(23)
        for i in range(4):
            if 2 <= number < 14:
                assert np.array_equal(drawn[number - 2][0], x[order[5 * i : 5 * i + 5]])
                assert np.array_equal(drawn[number - 2][1], order[5 * i : 5 * i + 5])
            number += 1


@pytest.mark.parametrize("replace", [False, True])
def test_a_tuple_of_inputs_gives_tuples_of_the_same_rows(replace):
    image, words, t = np.arange(40.0).reshape(10, 2, 2), np.arange(10) * 3, [*range(10)]
    plain = nn.minibatches(image, t, 4, seed=3, replace=replace)
    for (xs, ts), ((a, b), both) in zip(
        first(5, plain), nn.minibatches((image, words), t, 4, 3, 0, replace), strict=False
    ):
        assert np.array_equal(a, xs)
        assert np.array_equal(b, both * 3)
        assert np.array_equal(ts, both)
        assert (a.dtype, b.dtype) == (np.float64, np.int64)
    (inputs,), heads = next(nn.minibatches((image,), (words, np.array(t)), 10))
    assert inputs.shape == (10, 2, 2)
    assert np.array_equal(heads[0], heads[1] * 3)


def test_a_net_of_two_inputs_learns_from_such_batches():
    x, t = nn.spiral(0, points=20, classes=4)
    both = nn.layers.serial(
        nn.layers.parallel(nn.layers.affine("p"), nn.layers.affine("q")), nn.layers.join(nn.ops.add)
    )
    params = nn.init_affine(0, "p", 2, 4) | nn.init_affine(0, "q", 2, 4)
    optimizer = nn.sgd(0.1)
    step = nn.train_step(nn.value_and_grad(both, nn.ops.softmax_cross_entropy), optimizer)
    run = nn.fit(step, nn.init_state(optimizer, params), nn.minibatches((x, x**2), t, 20), 60)
    _, curves = nn.history(run)
    assert curves["loss"][1][-10:].mean() < curves["loss"][1][:10].mean()


# The step


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_is_pure_and_keeps_the_dtype(rule, dtype):
    x, t, step, state = problem(dtype, RULES[rule])
    state, _ = step(state, (x, t))
    arrays = [x, t, *state.params.values()]
    arrays += [a for slot, tree in state.opt.items() if slot != "t" for a in tree.values()]
    for a in arrays:
        a.flags.writeable = False
    before = [a.tobytes() for a in arrays]
    (one, metrics), (two, again) = step(state, (x, t)), step(state, (x, t))
    assert_equal_states(one, two)
    assert [a.tobytes() for a in arrays] == before
    assert (state.step, one.step, one.opt["t"], one.seed) == (1, 2, 2, 3)
    assert {a.dtype for a in one.params.values()} == {np.dtype(dtype)}
    assert list(metrics) == ["loss"]
    assert metrics["loss"] == again["loss"]
    assert metrics["loss"].dtype == dtype


def test_a_step_is_the_gradient_then_the_optimizer_and_its_loss_is_the_one_before():
    x, t, step, state = problem(np.float64)
    loss, grads, _ = GRAD(state.params, x, t)
    new, metrics = step(state, (x, t))
    assert metrics["loss"] == loss
    for name, p in state.params.items():
        np.testing.assert_allclose(new.params[name], p - 0.5 * grads[name], rtol=1e-15, atol=1e-15)


def test_the_gradient_is_called_in_training_mode_with_the_key_of_its_step():
    modes = []

    def grad(params, x, t, mode):
        modes.append(mode)
        return 0.0, {"w": np.ones(1)}, {"mean1": x, "new": t}

    optimizer = nn.sgd(1.0)
    state = nn.init_state(optimizer, {"w": np.zeros(1)}, {"mean1": 0.0, "var1": 1.0}, seed=6)
    step = nn.train_step(grad, optimizer)
    state, _ = step(state, (5.0, 7.0))
    assert state.stats == {"mean1": 5.0, "var1": 1.0, "new": 7.0}, "what is newly observed takes the old one's place"
    state, _ = step(state, (8.0, 9.0))
    assert [mode.key for mode in modes] == [(6, 0), (6, 1)]
    assert [mode.stats["mean1"] for mode in modes] == [0.0, 5.0]
    assert state.params["w"] == -2.0


def test_the_first_state():
    params, stats = {"W1": np.ones(2)}, {"mean1": np.zeros(2)}
    state = nn.init_state(nn.adam(), params, stats, seed=np.uint8(4))
    assert isinstance(state, nn.State)
    assert state.params == params
    assert state.stats == stats
    assert (state.seed, state.step, state.opt["t"]) == (4, 0, 0)
    assert type(state.seed) is int
    assert nn.init_state(nn.sgd(), params).seed == 0
    for seed in (-1, 1.5, None, "0", True):
        with pytest.raises(ValueError, match=rf"^init_state: seed is {seed!r}, wanted an int from 0 up$"):
            nn.init_state(nn.sgd(), params, seed=seed)


# The fold


def test_fit_hands_out_every_state_and_stops_in_time():
    x, t, step, state = problem()
    pulled = []

    def batches():
        for i in itertools.count():
            pulled.append(i)
            yield x[:10], t[:10]

    run = list(nn.fit(step, state, batches(), 5))
    assert [s.step for s, _ in run] == [1, 2, 3, 4, 5]
    assert pulled == [0, 1, 2, 3, 4], "no batch is drawn that is not learnt from"
    again = state
    for s, metrics in run:
        again, wanted = step(again, (x[:10], t[:10]))
        assert_equal_states(s, again)
        assert metrics == wanted
    assert state.step == 0


def test_fit_ends_with_its_batches_and_does_nothing_until_it_is_asked():
    x, t, step, state = problem()
    assert len(list(nn.fit(step, state, [(x, t)] * 3, 10))) == 3
    assert list(nn.fit(step, state, [(x, t)] * 3, 0)) == []

    def explode(state, batch):
        raise AssertionError("fit ran ahead")

    run = nn.fit(explode, state, [(x, t)], 1)
    with pytest.raises(AssertionError, match="ran ahead"):
        next(run)


@pytest.mark.parametrize("steps", [-1, 2.0, None, True, "3"])
def test_steps_that_are_none_are_refused_at_the_call(steps):
    x, t, step, state = problem()
    with pytest.raises(ValueError, match=rf"^fit: steps is {steps!r}, wanted an int from 0 up$"):
        nn.fit(step, state, [(x, t)], steps)
    pytest.importorskip("tqdm", reason="the bar comes with the extra `progress`")
    with pytest.raises(ValueError, match=rf"^progress: steps is {steps!r}, wanted an int from 0 up$"):
        nn.progress([], steps)
    with pytest.raises(ValueError, match=rf"^progress: start is {steps!r}, wanted an int from 0 up$"):
        nn.progress([], 3, steps)


@pytest.mark.parametrize(
    ("optimizer", "came"),
    [
        (nn.sgd, "the function sgd"),
        (0.1, "0.1"),
        ("sgd", "'sgd'"),
        (None, "None"),
        (tuple(nn.sgd()), "a tuple of 2"),
        (nn.sgd().step, "the function step"),
    ],
)
def test_what_is_no_optimizer_is_told_what_one_is(optimizer, came):
    for where, call in [
        ("train_step", lambda: nn.train_step(GRAD, optimizer)),
        ("init_state", lambda: nn.init_state(optimizer, {})),
    ]:
        message = f"{where}: optimizer is {came}, wanted an Optimizer, say nnfunc.sgd()"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            call()


@pytest.mark.parametrize("wrong", ["f", None, 3])
def test_what_cannot_be_called_is_refused_where_it_is_given(wrong):
    x, t, _, state = problem()
    for where, name, call in [
        ("train_step", "grad", lambda: nn.train_step(wrong, nn.sgd())),
        ("fit", "step", lambda: nn.fit(wrong, state, [(x, t)], 1)),
        ("every", "evaluate", lambda: nn.every(3, wrong)),
    ]:
        with pytest.raises(ValueError, match=f"^{where}: {name} is {wrong!r}, wanted a function "):
            call()


@pytest.mark.parametrize("wrong", [None, [1.0], 3, {"W1"}])
def test_a_first_state_wants_dicts(wrong):
    for arguments, name in [((wrong, {}), "params"), (({}, wrong), "stats")]:
        with pytest.raises(ValueError, match=f"^init_state: {name} is .*, wanted a dict$"):
            nn.init_state(nn.sgd(), *arguments)


OWN = {"params": {}, "step": 3}


@pytest.mark.parametrize(
    ("pair", "came"),
    [
        ((OWN, {"loss": 0.5}), "a dict of 2, a dict of 1"),
        ((tuple(nn.init_state(nn.sgd(), {})), {}), "a tuple of 5, a dict of 0"),
        ((np.zeros((4, 2)), np.zeros(4)), "an array of shape (4, 2), an array of shape (4,)"),
        (3, "3"),
        ([nn.init_state(nn.sgd(), {}), {}], "a list of 2"),
    ],
)
@pytest.mark.parametrize("consumer", ["history", "checkpoints", "progress"])
def test_a_run_of_other_states_is_told_what_a_run_yields(consumer, pair, came, tmp_path):
    calls = {
        "history": nn.history,
        "checkpoints": lambda run: list(nn.checkpoints(run, tmp_path / "s.npz", 1)),
        "progress": lambda run: list(nn.progress(run, 3)),
    }
    message = f"{consumer}: the run yields {came}, wanted (state, metrics) with an nnfunc.State"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        calls[consumer]([pair])


@pytest.mark.parametrize(("state", "came"), [(OWN, "a dict of 2"), (None, "None"), ((1, 2), "a tuple of 2")])
def test_what_is_no_state_is_not_saved(state, came, tmp_path):
    with pytest.raises(ValueError, match=f"^save_state: the state is {came}, wanted an nnfunc.State$"):
        nn.save_state(tmp_path / "s.npz", state)
    assert not any(tmp_path.iterdir())


def test_a_masked_array_is_not_saved_without_its_mask(tmp_path):
    state = nn.init_state(nn.sgd(), {"w": np.ma.masked_array([1.0, 2.0], [True, False])})
    with pytest.raises(ValueError, match=r"^save_state: params/w is a masked array, whose mask would be lost"):
        nn.save_state(tmp_path / "s.npz", state)
    assert not any(tmp_path.iterdir())


def test_learning_learns():
    x, t, step, state = problem(optimizer=RULES["adam"])
    *_, (_, metrics) = nn.fit(step, state, nn.minibatches(x, t, 50), 600)
    assert metrics["loss"] < 0.7 * np.log(4), "four equal chances are where it started"


@pytest.mark.traps("T26")
@pytest.mark.parametrize(("batch_size", "at"), [(128, [468, 936, 1404, 1872]), (100, [600, 1200, 1800])])
def test_an_epoch_is_a_whole_number_of_steps(batch_size, at):
    def step(state, batch):
        return state._replace(step=state.step + 1), {"loss": 0.0}

    evaluated = []
    measure = nn.every(60_000 // batch_size, lambda state: evaluated.append(state.step) or {"accuracy": 0.5})
    run = nn.fit(step, nn.init_state(nn.sgd(), {}), itertools.repeat(None), 2000, measure)
    with_accuracy = [state.step for state, metrics in run if "accuracy" in metrics]
    assert evaluated == with_accuracy == at


@pytest.mark.traps("T26")
@pytest.mark.parametrize("steps", [60_000 / 128, 0, -1, 1.0, None])
def test_an_epoch_of_broken_steps_is_refused(steps):
    with pytest.raises(ValueError, match=rf"^every: steps is {re.escape(repr(steps))}, wanted an int from 1 up$"):
        nn.every(steps, lambda state: {})
    with pytest.raises(ValueError, match=r"^checkpoints: steps is"):
        nn.checkpoints([], "nowhere.npz", steps)


def test_the_metrics_of_step_and_evaluation_come_together():
    x, t, step, state = problem()
    run = nn.fit(step, state, nn.minibatches(x, t, 20), 4, nn.every(2, lambda s: {"size": s.step * 10}))
    assert [m.get("size") for _, m in run] == [None, 20, None, 40]


def test_a_resumed_run_is_evaluated_at_the_same_steps():
    x, t, step, state = problem()
    state = state._replace(step=3)
    run = nn.fit(step, state, nn.minibatches(x, t, 20, start=3), 4, nn.every(5, lambda s: {"here": True}))
    assert [s.step for s, m in run if "here" in m] == [5]


def test_history_gives_curves_to_plot():
    states = [nn.init_state(nn.sgd(), {})._replace(step=k) for k in (5, 6, 7, 8)]
    metrics = [{"loss": 4.0}, {"loss": 3.0, "accuracy": 0.5}, {"loss": 2.0}, {"loss": 1.0, "accuracy": 0.75}]
    last, curves = nn.history(zip(states, metrics, strict=True))
    assert last is states[-1]
    assert {name: [axis.tolist() for axis in curve] for name, curve in curves.items()} == {
        "loss": [[5, 6, 7, 8], [4.0, 3.0, 2.0, 1.0]],
        "accuracy": [[6, 8], [0.5, 0.75]],
    }
    with pytest.raises(ValueError, match=r"^history: the run took no step$"):
        nn.history([])


def test_the_curves_are_of_the_librarys_arrays_of_which_the_metrics_are():
    xp = pytest.importorskip("array_api_strict")
    states = [nn.init_state(nn.sgd(), {})._replace(step=k) for k in (1, 2, 3)]
    losses = [0.5, xp.asarray(0.25), xp.asarray(0.125)]
    _, curves = nn.history((s, {"loss": loss}) for s, loss in zip(states, losses, strict=True))
    assert [type(axis).__module__.partition(".")[0] for axis in curves["loss"]] == ["array_api_strict"] * 2
    assert [np.asarray(axis).tolist() for axis in curves["loss"]] == [[1, 2, 3], [0.5, 0.25, 0.125]]
    _, curves = nn.history((s, {"loss": np.float32(loss)}) for s, loss in zip(states, (3, 2, 1), strict=True))
    assert [type(axis) for axis in curves["loss"]] == [np.ndarray] * 2


def test_progress_passes_the_run_on_unchanged(capsys):
    pytest.importorskip("tqdm", reason="the bar comes with the extra `progress`")
    x, t, step, state = problem()
    plain = list(nn.fit(step, state, nn.minibatches(x, t, 20), 210))
    shown = list(nn.progress(nn.fit(step, state, nn.minibatches(x, t, 20), 210), 210))
    assert [m for _, m in shown] == [m for _, m in plain]
    assert_equal_states(shown[-1][0], plain[-1][0])
    assert capsys.readouterr().out == "", "the bar leaves the output alone"


def test_progress_counts_the_runs_steps(monkeypatch):
    tqdm = pytest.importorskip("tqdm", reason="the bar comes with the extra `progress`")
    seen = []

    class Bar(tqdm.tqdm):
        def __init__(self, *args, **settings):
            super().__init__(*args, **settings | {"disable": False, "file": io.StringIO()})
            seen.append((self.n, self.total))

        def set_postfix(self, **told):
            seen.append(told["loss"])

        def close(self):
            seen.append((self.n, self.total))
            super().close()

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    states = [nn.init_state(nn.sgd(), {})._replace(step=k) for k in range(51, 101)]
    list(nn.progress(((s, {"loss": s.step / 4}) for s in states), 100, start=50))
    assert seen[:3] == [(50, 100), "25.000", (100, 100)], "the loss is told at every hundredth step"
    seen.clear()
    list(nn.progress(((s._replace(step=s.step - 50), {}) for s in states), 50))
    assert seen[:2] == [(0, 50), (50, 50)]


# Saved, loaded, resumed


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_run_that_is_saved_and_resumed_is_bit_for_bit_the_same(rule, dtype, tmp_path):
    x, t, step, state = problem(dtype, RULES[rule])
    *_, (whole, _) = nn.fit(step, state, nn.minibatches(x, t, 30, seed=state.seed), 41)
    *_, (half, _) = nn.fit(step, state, nn.minibatches(x, t, 30, seed=state.seed), 17)
    assert (half.step, whole.step) == (17, 41)
    nn.save_state(tmp_path / "state", half)
    loaded = nn.load_state(tmp_path / "state")
    assert_equal_states(loaded, half)
    rest = nn.minibatches(x, t, 30, seed=loaded.seed, start=loaded.step)
    *_, (resumed, _) = nn.fit(step, loaded, rest, 41 - 17)
    assert_equal_states(resumed, whole)
    other = nn.minibatches(x, t, 30, seed=loaded.seed)
    *_, (wrong, _) = nn.fit(step, loaded, other, 41 - 17)
    assert not np.array_equal(wrong.params["W1"], whole.params["W1"]), "the test sees which batches came"


def test_a_schedule_goes_on_where_it_was(tmp_path):
    optimizer = nn.adam(lambda step: 0.1 / (1 + step))
    x, t, step, state = problem(optimizer=optimizer)
    *_, (whole, _) = nn.fit(step, state, nn.minibatches(x, t, 30), 9)
    *_, (half, _) = nn.fit(step, state, nn.minibatches(x, t, 30), 4)
    nn.save_state(tmp_path / "s.npz", half)
    loaded = nn.load_state(tmp_path / "s.npz")
    *_, (resumed, _) = nn.fit(step, loaded, nn.minibatches(x, t, 30, start=4), 5)
    assert_equal_states(resumed, whole)


def test_a_state_comes_back_as_it_went(tmp_path):
    params = {"W10": np.ones((2, 3), np.longdouble), "W2": np.array(2.5), "b": np.zeros((0, 4), np.float32)}
    stats = {"var1": np.ones(3), "mean1": np.zeros(3)}
    state = nn.init_state(nn.adam(), params, stats, seed=2**40)._replace(step=12345)
    nn.save_state(str(tmp_path / "state.npz"), state)
    loaded = nn.load_state(str(tmp_path / "state.npz"))
    assert isinstance(loaded, nn.State)
    assert_equal_states(loaded, state)
    assert (type(loaded.seed), type(loaded.step), type(loaded.opt["t"])) == (int, int, int)


@pytest.mark.parametrize("rule", RULES)
def test_a_state_without_arrays_comes_back_too(rule, tmp_path):
    """A zip archive has no empty folders, so an empty dict leaves no trace in the file."""
    state = nn.init_state(RULES[rule], {}, seed=5)
    nn.save_state(tmp_path / "state.npz", state)
    loaded = nn.load_state(tmp_path / "state.npz")
    assert (loaded.params, loaded.stats, loaded.seed, loaded.step) == ({}, {}, 5, 0)
    assert loaded.opt["t"] == 0


def test_a_file_of_parameters_is_no_state(tmp_path):
    path = tmp_path / "params.npz"
    nn.save_params(path, nn.init_mlp(0, (2, 2)))
    with pytest.raises(ValueError, match=rf"^load_state: {re.escape(str(path))} holds .*'W1', 'b1'.*, no state"):
        nn.load_state(path)
    nn.save_params(path, {"opt": np.zeros(2), "seed": np.zeros(2), "step": np.zeros(2)})
    with pytest.raises(ValueError, match="load_state"):
        nn.load_state(path)
    with pytest.raises(FileNotFoundError):
        nn.load_state(tmp_path / "none.npz")


def test_checkpoints_save_the_state_now_and_then_and_pass_the_run_on(tmp_path):
    x, t, step, state = problem(optimizer=RULES["momentum"])
    plain = list(nn.fit(step, state, nn.minibatches(x, t, 20), 10))
    run = nn.checkpoints(nn.fit(step, state, nn.minibatches(x, t, 20), 10), tmp_path / "c.npz", 4)
    saved = []
    for k, (s, metrics) in enumerate(run):
        assert metrics == plain[k][1]
        assert_equal_states(s, plain[k][0])
        saved.append(nn.load_state(tmp_path / "c.npz").step if (tmp_path / "c.npz").exists() else None)
    assert saved == [None, None, None, 4, 4, 4, 4, 8, 8, 8]
    assert_equal_states(nn.load_state(tmp_path / "c.npz"), plain[7][0])
    assert [file.name for file in tmp_path.iterdir()] == ["c.npz"]


# Gradients that are wrapped


def small(dtype=np.float64):
    """A net with batch normalisation and dropout, a batch, and the mode of a step in training."""
    params = nn.init_mlp(1, (2, 6, 4), batch_norm=True, dtype=dtype)
    stats = nn.init_stats(params)
    params |= {"b1": np.full(6, 0.3, dtype), "beta1": np.full(6, -0.2, dtype)}
    x, t = nn.spiral(0, points=5, classes=4)
    grad = nn.value_and_grad(nn.mlp(dropout=0.3), nn.ops.softmax_cross_entropy)
    return grad, params, x.astype(dtype), t, nn.layers.Mode(stats, (3, 7))


def test_the_gradient_with_decay_is_that_of_the_loss_with_decay():
    grad, params, x, t, mode = small()
    decayed = nn.with_weight_decay(grad, 0.2)
    value, grads, stats = decayed(params, x, t, mode)
    plain, plain_grads, plain_stats = grad(params, x, t, mode)
    assert value - plain == pytest.approx(0.1 * sum((params[name] ** 2).sum() for name in ("W1", "W2")), rel=1e-12)
    differences = nn.numerical_gradient(lambda p: decayed(p, x, t, mode)[0], params)
    assert list(grads) == list(plain_grads)
    for name, g in grads.items():
        np.testing.assert_allclose(g, differences[name], atol=1e-8)
        assert np.array_equal(g, plain_grads[name]) == (name[0] != "W")
    assert stats.keys() == plain_stats.keys() == {"mean1", "var1"}


@pytest.mark.parametrize("wrap", [nn.with_weight_decay, nn.with_clipping])
def test_a_wrapped_gradient_keeps_float32_and_is_pure(wrap):
    grad, params, x, t, mode = small(np.float32)
    for a in params.values():
        a.flags.writeable = False
    wrapped = wrap(grad, np.float64(0.01))
    (value, grads, _), (again, grads_again, _) = wrapped(params, x, t, mode), wrapped(params, x, t, mode)
    assert value == again
    assert all(np.array_equal(g, grads_again[name]) for name, g in grads.items())
    assert {value.dtype, *(g.dtype for g in grads.values())} == {np.dtype(np.float32)}
    weights, modes = {"W1": np.ones(2)}, []
    wrap(lambda params, x, t, mode: modes.append(mode) or (0.0, weights, {}), 1.0)(weights, x, t)
    assert modes == [nn.layers.EVAL], "without a mode it is evaluation"


def given(grads):
    """Stand in for a gradient: return these."""
    return lambda params, x, t, mode=nn.layers.EVAL: (1.5, grads, {"seen": x})


def length(grads):
    return np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in grads.values()))


@pytest.mark.parametrize("max_norm", [0.01, 1.0, 12.9])
def test_clipping_shortens_all_gradients_by_one_factor(max_norm):
    grads = {"W1": np.array([[3.0, 0.0], [0.0, -4.0]]), "b1": np.array([12.0, 0.0])}  # of length 13
    value, clipped, stats = nn.with_clipping(given(grads), max_norm)({}, 7, None)
    assert (value, stats) == (1.5, {"seen": 7})
    assert length(clipped) == pytest.approx(max_norm, rel=1e-14)
    for name, g in grads.items():
        np.testing.assert_allclose(clipped[name], g * max_norm / 13, rtol=1e-14)


@pytest.mark.parametrize("max_norm", [13.0, 13.1, np.inf])
def test_clipping_leaves_gradients_that_are_short_enough(max_norm):
    grads = {"W1": np.array([[3.0, 0.0], [0.0, -4.0]]), "b1": np.array([12.0, 0.0])}
    _, clipped, _ = nn.with_clipping(given(grads), max_norm)({}, 7, None)
    assert all(np.array_equal(clipped[name], g) for name, g in grads.items())


def test_clipping_takes_no_gradient_and_one_whose_square_overflows():
    zeros = {"W1": np.zeros((2, 2), np.float32)}
    assert np.array_equal(nn.with_clipping(given(zeros), 1.0)({}, 7, None)[1]["W1"], zeros["W1"])
    exploded = {"W1": np.float32([3e30, 0]), "b1": np.float32([-4e30])}
    _, clipped, _ = nn.with_clipping(given(exploded), 5.0)({}, 7, None)
    np.testing.assert_allclose([*clipped["W1"], *clipped["b1"]], [3, 0, -4], rtol=1e-6)
    assert clipped["W1"].dtype == np.float32


@pytest.mark.parametrize("max_norm", [0, -1.0, np.nan])
def test_clipping_to_nothing_is_refused_at_once(max_norm):
    message = f"with_clipping: max_norm is {max_norm}, wanted a number in (0, inf]"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nn.with_clipping(GRAD, max_norm)


def test_wrapped_gradients_train():
    x, t, _, state = problem(np.float64)
    grad = nn.with_clipping(nn.with_weight_decay(GRAD, 0.1), 0.01)
    new, metrics = nn.train_step(grad, nn.sgd(1.0))(state, (x, t))
    moved = {name: p - new.params[name] for name, p in state.params.items()}
    assert length(moved) == pytest.approx(0.01, rel=1e-12), "clipped after the decay"
    assert metrics["loss"] > GRAD(state.params, x, t)[0], "the loss that is descended is the one with the penalty"


def test_lists_are_drawn_from_like_arrays():
    x, t = next(nn.minibatches([[1.0, 2.0], [3.0, 4.0]], [0, 1], batch_size=2))
    assert x[t == 1].tolist() == [[3.0, 4.0]]


def test_a_run_without_a_loss_has_its_bar_as_well():
    steps = [(nn.init_state(nn.sgd(), {})._replace(step=k), {}) for k in range(1, 101)]
    assert [state.step for state, _ in nn.progress(steps, 100)] == list(range(1, 101))


def test_numbers_that_an_optimizer_remembers_come_back_as_numbers(tmp_path):
    state = nn.init_state(nn.sgd(), {"w": np.ones(2, np.float32)})._replace(
        opt={"t": 3, "norm": 0.1, "k": np.float32(2)}
    )
    nn.save_state(tmp_path / "state.npz", state)
    opt = nn.load_state(tmp_path / "state.npz").opt
    assert (opt["t"], opt["norm"], opt["k"]) == (3, 0.1, 2)
    assert (type(opt["t"]), type(opt["norm"]), opt["k"].dtype) == (int, float, np.float32)
