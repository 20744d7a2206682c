"""The command line of scripts/train.py: arguments.py checks what is typed, command.py has Hydra run it."""

from bnrepro.cli.command import main

__all__ = ["main"]
