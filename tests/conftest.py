"""One TensorFlow for all tests of a session, set up as a training job's process sets up its own."""

import gc
import os
import sys
from pathlib import Path

# Read when TensorFlow is imported, which test modules do before any fixture runs.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["KERAS_BACKEND"] = "tensorflow"

import pytest
from threadpoolctl import threadpool_limits

TESTS = Path(__file__).parent
# The files that take longest, where everything runs, in the order in which they begin: so no process is left
# with one of them at the end. Those that look at clocks (test_slurm, test_killed) are not to run at once.
LONGEST = (
    "cluster/test_slurm.py",
    "workflow/test_reruns.py",
    "training/test_trainer.py",
    "workflow/test_main_job.py",
    "workflow/test_killed.py",
    "workflow/test_any_sequence.py",
    "workflow/test_path_runs.py",
    "workflow/test_examples.py",
    "training/test_cell.py",
    "training/test_seeds.py",
    "training/test_linear_paths.py",
    "workflow/test_full_disk.py",
    "workflow/test_baselines.py",
    "workflow/test_round_trip.py",
    "report/test_page.py",
    "workflow/test_predict.py",
    "runtime/test_processors.py",
    "workflow/test_local_run.py",
    "report/test_page_browser.py",
    "runtime/test_workers.py",
)


def pytest_xdist_auto_num_workers(config):
    """Processes that share the whole suite; a few tests that were asked for run in this one.

    Where everything runs, one more than there are processors: tests of Slurm mostly wait for its clocks.
    """
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    processors = os.cpu_count() or 1
    return min(4, processors + bool(os.environ.get("REGFOLD_HEAVY"))) if whole else 0


def pytest_configure(config):
    """Keras' variables do not know of numpy's `copy` yet; nothing is wrong with it."""
    config.addinivalue_line("filterwarnings", "ignore:__array__ implementation:DeprecationWarning")


def pytest_collection_modifyitems(items):
    """The longest files first. Tests that take long run where REGFOLD_HEAVY is set, as in CI; elsewhere
    the summary names them."""
    order = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))
    if not os.environ.get("REGFOLD_HEAVY"):
        skip = pytest.mark.skip(reason="takes long: REGFOLD_HEAVY=1 runs it")
        for item in items:
            if "heavy" in item.keywords:
                item.add_marker(skip)


def pytest_collection_finish():
    """What was imported stays: the garbage collector need not look through it again and again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """On several threads, which wait busily, small fits take twenty times the processor time."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session", autouse=True)
def tensorflow_as_in_a_job():
    """Set the threads before TensorFlow's first operation, where a test module imported it."""
    if "tensorflow" in sys.modules:
        from regfold.runtime import processors

        processors.start(1)
