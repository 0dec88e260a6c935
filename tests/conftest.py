"""What every test runs under: one thread, no window, no tracking service, the same examples each time."""

import gc
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Read when torch and NumPy are first imported, so that no test pays for importing torch just to tell it.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
for _variable in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):  # would make terminals of files
    os.environ.pop(_variable, None)

# Other examples, and more of them: pytest --hypothesis-profile=explore
settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile(
    "explore", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    """Keeps W&B away from the network, the home folder and the working directory.

    A test of tracking sets WANDB_MODE itself (monkeypatch) and finds the folders already redirected.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a shell without job control starts what ends in &
        signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="splitgym-wandb-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["WANDB_MODE"] = "disabled"
    os.environ["WANDB_SILENT"] = "true"
    os.environ.pop("WANDB_API_KEY", None)
    for variable in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"):
        path = folder / variable.lower()
        path.mkdir()
        os.environ[variable] = str(path)


def pytest_collection_finish() -> None:
    """Fewer garbage collections, none of which walks over what is there to stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 50)
