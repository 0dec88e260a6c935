"""Train an agent: see ``python train_agent.py --help`` (also installed as splitgym-train)."""

from splitgym.experiments.train_command import main

if __name__ == "__main__":
    raise SystemExit(main())
