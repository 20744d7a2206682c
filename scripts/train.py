"""Train networks: python scripts/train.py network=mlp_bn optim.lr=0.3 'seeds=[0,1,2]' (see --help)."""

from bnrepro.cli import main
from bnrepro.config import RunConfig
from bnrepro.stopping import held_back


def train(config: RunConfig) -> float | None:
    with held_back():
        from bnrepro.run import run  # imports torch
        from bnrepro.sweep import held_out_accuracy

    return held_out_accuracy(run(config))


if __name__ == "__main__":
    main(train)
