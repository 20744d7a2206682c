"""Whatever is typed is either accepted and runs, or refused with one message and exit code 2: never a traceback.

``BNREPRO_FUZZ`` is the number of command lines: 200 here, 2,000 others in ``make fuzz``.
"""

import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnrepro import cli
from bnrepro.compose import load
from bnrepro.config import RunConfig, flatten
from bnrepro.run import run

CASES = int(os.environ.get("BNREPRO_FUZZ", "200"))
BASES = {  # small enough that what is accepted takes no time
    "mlp_bn": ["data=digits", "model.hidden=[8]"],
    "bn_x5": ["data=shapes", "data.train_images=100", "data.test_images=50", "model.width=0.125"],
}
SCALE = ["scale=smoke", "steps=1", "batch_size=4", "runtime.device=cpu", "probes.activation_examples=4"]
ELSEWHERE = {"runs_root", "data_root", "experiment", "network", "scale", "study.name", "runtime.device"}
VALUES = st.one_of(
    st.integers(-3, 8).map(str),
    st.floats(width=32).map(str),
    st.lists(st.integers(-2, 8), max_size=3).map(str),
    st.sampled_from(["", "null", "true", "maybe", "[]", "{}", "{a:1}", "[a]", "[[1]]", "nan", "-inf", "1e400", "0x10"]),
    st.sampled_from(
        ["../x", "/etc/passwd", "a b", "é", "'", '"', "${steps}", "${nothing}", "!!python/object:os.system"]
    ),
    st.sampled_from(["full", "shard", "centre", "he", "gaussian", "relu", "sigmoid", "random", "first", "digits"]),
    st.sampled_from(["written_out", "autograd", "bfloat16", "float32", "exact", "moving", "fused", "paper"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
)
GROUPS = st.tuples(
    st.sampled_from(["network", "data", "norm", "augment", "probes", "optim", "nothing", "hydra/launcher"]),
    st.sampled_from(["none", "batch", "images", "activations", "sgd", "momentum", "shapes", "digits", "x", "", "null"]),
)


def keys(network: str) -> list[str]:
    return [key for key in flatten(load([f"network={network}", *BASES[network]])) if key not in ELSEWHERE]


KEYS = {network: keys(network) for network in BASES}
SWEEP = ["-m", "seeds=[0],[1]"]
GIVEN = st.sampled_from(list(BASES)).flatmap(
    lambda network: st.tuples(
        st.just(network),
        st.sampled_from([[]] * 6 + [["hydra.job.chdir=false"], SWEEP]),
        st.lists(
            st.one_of(
                st.tuples(st.sampled_from(KEYS[network]), VALUES).map("=".join),
                st.tuples(st.sampled_from(KEYS[network]), VALUES).map("=".join),
                GROUPS.map("=".join),
                st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8).filter(
                    lambda text: not text.startswith(("-", "@"))  # an option of Hydra's
                ),
            ),
            min_size=1,
            max_size=3,
        ),
    )
)


@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=CASES <= 200,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(GIVEN)
def test_what_is_typed_runs_or_is_refused_in_one_message(given: tuple[str, list[str], list[str]]) -> None:
    network, how, typed = given
    ended = []

    def task(config: RunConfig) -> None:
        ended.append(config.dry_run or run(config).ended)

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["train.py", f"network={network}", *BASES[network], *SCALE, *how, *typed])
        said, printed = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(printed),
            pytest.raises(SystemExit) as stop,
        ):
            cli.main(task)
        left = list(Path(folder).rglob("*"))
    if stop.value.code == 0:
        assert ended
        assert all(ended)
    elif how is SWEEP:  # whose runs may each be refused as it begins
        assert stop.value.code == 2, said.getvalue()
        assert "error: " in said.getvalue()
    else:
        assert stop.value.code == 2, said.getvalue()
        assert said.getvalue().count("error: ") == 1, said.getvalue()
        assert said.getvalue().startswith("error: ")
        assert not left, left
    assert "Traceback" not in said.getvalue()
