"""Train networks: python scripts/train.py network=mlp_bn optim.lr=0.3 'seeds=[0,1,2]' (see --help)."""

from bnrepro.stopping import leaving

with leaving():  # to the end: between two of them a signal would cut something in two
    from bnrepro.cli import main
    from bnrepro.config import RunConfig

    def train(config: RunConfig) -> float | None:
        with leaving():  # in a launcher's process too
            from bnrepro.run import run  # imports torch
            from bnrepro.sweep import held_out_accuracy

            record = run(config)
            return None if config.dry_run else held_out_accuracy(record)

    if __name__ == "__main__":
        main(train)
