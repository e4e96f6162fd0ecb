"""A Python of its own for each served page: the server starts it and asks it (live.py), and it runs the reader's code.

The lower half runs inside the kernel, as a console would: a statement at a time, and the value of an expression is
shown as it is. A block of the page that has not run yet is run before those below it. A check runs what the reader
wrote beside the page as it is written, in names of their own, so that nothing the reader has tried changes the verdict.
"""

import ast
import atexit
import contextlib
import copy
import doctest
import io
import linecache
import os
import secrets
import sys
import threading
import traceback
import warnings
from pathlib import Path
from queue import Empty

HERE = Path(__file__).parent
TOKEN = secrets.token_urlsafe(24)
MOST = 4  # kernels, since one may hold all of MNIST; a page whose kernel had to go gets another one
MUCH = 200_000  # characters that one block may print

# In the server -------------------------------------------------------------

kernels, guard = {}, threading.Lock()


class Kernel:
    """A process that may not have been started yet. Its lock is held while it is at work."""

    def __init__(self):
        self.lock, self.manager, self.client, self.stops, self.closed = threading.Lock(), None, None, 0, False

    def start(self, folder):
        from jupyter_client import KernelManager
        from jupyter_client.kernelspec import KernelSpecManager

        self.hang_up()
        # No folders to look in: the Python that serves, whatever other kernels are installed.
        self.manager = KernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
        surroundings = {"MATPLOTLIBRC": str(HERE / "matplotlibrc"), "MPLBACKEND": "agg"}
        self.manager.start_kernel(
            cwd=str(folder),
            env={"OPENBLAS_NUM_THREADS": "1"} | os.environ | surroundings,
            extra_arguments=["--log-level=ERROR", "--HistoryManager.enabled=False"],
        )
        client = self.manager.blocking_client()
        client.start_channels(stdin=False, hb=False)
        client.wait_for_ready(timeout=120)
        client.execute(f"import sys; sys.path.append({str(HERE)!r})", silent=True)
        self.client = client

    def end(self):
        self.closed = True
        if self.manager:
            self.manager.shutdown_kernel(now=True)
        with self.lock:  # whoever waits for an answer sees that there will be none
            self.hang_up()

    def hang_up(self):
        if self.client:
            self.client.stop_channels()  # an open one would block whatever collects this kernel as garbage
            self.client = None


def ask(page, folder, function, *arguments):
    """What a function of this module's lower half shows in the page's kernel, as pairs of a kind and a text."""
    with guard:
        kernel = kernels[page] = kernels.pop(page, None) or Kernel()  # the last one is the one used last
        idle = [name for name in list(kernels)[:-MOST] if not kernels[name].lock.locked()]
    for name in idle:
        close(name)
    with kernel.lock:
        kernel.stops = 0
        if not kernel.manager or not kernel.manager.is_alive():
            kernel.start(folder)
        if kernel.closed:  # while it started
            kernel.manager.shutdown_kernel(now=True)
        return _shown(kernel, f"__import__('kernel').{function}(*{arguments!r})")


def stop(page):
    """Interrupt what the page runs; asked again, end its Python, since some code cannot be interrupted."""
    kernel = kernels.get(page)
    if kernel and kernel.client and kernel.lock.locked():
        kernel.stops += 1
        kernel.manager.interrupt_kernel() if kernel.stops == 1 else kernel.manager.shutdown_kernel(now=True)


def close(page):
    with guard:
        kernel = kernels.pop(page, None)
    if kernel:
        kernel.end()


@atexit.register
def close_all():
    for page in list(kernels):
        close(page)


def _shown(kernel, code):
    shown, left, asked = [], MUCH, kernel.client.execute(code, store_history=False, allow_stdin=False)
    while True:
        try:
            message = kernel.client.get_iopub_msg(timeout=0.5)
        except Empty:
            if not kernel.manager.is_alive():
                return [*shown, ("error", "Its Python has ended. The next run starts another one.")]
            continue
        kind, content = message["msg_type"], message["content"]
        if message["parent_header"].get("msg_id") != asked:
            continue
        if kind == "status" and content["execution_state"] == "idle":
            return shown
        pairs = content.get("data", {}).items() if kind == "display_data" else ()
        if kind == "stream" and left > 0:
            pairs = [(content["name"], content["text"][:left])]
            left -= len(content["text"])
            if left <= 0:
                kernel.manager.interrupt_kernel()
        for name, text in pairs:
            if shown and shown[-1][0] == name and kind == "stream":
                text = shown.pop()[1] + text
            shown.append((name, text))


# In the kernel -------------------------------------------------------------

here, written = sys.modules["__main__"].__dict__, {"__name__": "__main__"}  # names: the reader's, the page's own
done, ran, blocks = set(), [], 0


def run(above, code, edited, number):
    """Run a block, and before it those above that have not been run; each is (number, code, whether it was edited)."""
    with _console():
        with _quietly():
            for k, text, changed in above:
                if k not in done:
                    _run(text, here, tell=changed, go_on=not changed)
                    done.add(k)
        _run(code, here, go_on=not edited)
        done.add(number)


def check(sources, code, names, before, compared):
    """Run the code beside the page, whose examples are `sources`, and compare what the answer's examples make of it."""
    with _console():
        with _quietly():
            for source in sources[len(ran) :]:
                _run(source, written, tell=False)
                ran.append(source)
        kept, own = _apart(written), {name: x for name, x in here.items() if name not in names} | _apart(written)
        if not _run(code, own):
            return _show("not yet", "Not yet: it does not run through.")
        if missing := [name for name in names if own.get(name) is written.get(name)]:
            return _show("not yet", f"Not yet: there is no {' and no '.join(missing)}.")
        written.update({name: own[name] for name in names})
        with _quietly():
            for source in before:
                _run(source, written, tell=False)
            test = doctest.DocTest([doctest.Example(*e[:3], options=e[3]) for e in compared], {}, "answer", None, 0, "")
            test.globs, runner = written, _First(optionflags=doctest.FAIL_FAST)
            try:
                runner.run(test, out=len, clear_globs=False)
            finally:
                written.clear()
                written.update(kept)
        _show(*(("not yet", runner.difference) if runner.difference else ("right", "Right.")))


class _First(doctest.DocTestRunner):
    """Keeps the first difference."""

    difference = ""

    def report_failure(self, out, test, example, got):
        called = example.source.replace("    # band", "").rstrip().replace("\n", "\n... ")
        wanted = f"\nwanted\n{example.want.rstrip()}" if example.want else ""
        self.difference = f"Not yet:\n>>> {called}{wanted}\ncame\n{got.rstrip() or 'nothing'}"

    def report_unexpected_exception(self, out, test, example, exc_info):
        self.report_failure(out, test, example, "".join(traceback.format_exception_only(exc_info[1])))


def _run(code, names, tell=True, go_on=False):
    """Run a statement at a time; an error ends it, or in a block of the page, which may raise on purpose, does not."""
    global blocks
    blocks += 1
    name, right = f"<block {blocks}>", True
    linecache.cache[name] = len(code), None, code.splitlines(keepends=True), name
    names.pop("__warningregistry__", None)
    try:
        for statement in ast.parse(code, name).body:
            try:
                exec(compile(ast.Interactive([statement]), name, "single", dont_inherit=True), names)
            except (Exception, SystemExit) as error:
                right = False
                if tell:
                    _tell(error, name)
                if not go_on:
                    break
    except SyntaxError as error:
        right = False
        _tell(error, name)
    return right


def _tell(error, name):
    """The error with its notes, and the line of the block."""
    text = "".join(traceback.format_exception_only(error)).replace(f'  File "{name}", line', "line").rstrip()
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    where = f"\nin line {lines[-1]}: {linecache.getline(name, lines[-1]).strip()}" if lines else ""
    _show("error", text + where)


def _show(kind, text):
    from IPython.display import display

    display({kind: text}, raw=True)


def _apart(names):
    """The same names, with random generators of their own: to draw is to change them."""
    return {name: copy.deepcopy(x) if hasattr(x, "bit_generator") else x for name, x in names.items()}


@contextlib.contextmanager
def _quietly():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
    if plt := sys.modules.get("matplotlib.pyplot"):
        plt.close("all")


@contextlib.contextmanager
def _console():
    """Values and warnings as a console shows them, and at the end the figures that were left."""
    sys.displayhook, warnings.formatwarning = sys.__displayhook__, _warning
    warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")  # a figure needs no plt.show()
    try:
        with contextlib.redirect_stderr(sys.stdout):  # in the order in which they come
            yield
        if plt := sys.modules.get("matplotlib.pyplot"):
            import figures

            for number in plt.get_fignums():
                _show("svg", figures.draw(plt.figure(number)))
            plt.close("all")
    except KeyboardInterrupt:
        _show("error", "Stopped.")


def _warning(message, category, filename, lineno, line=None):
    return f"{category.__name__}: {message}" + (f" (line {lineno})\n" if filename.startswith("<block") else "\n")
