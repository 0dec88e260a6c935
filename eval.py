"""Compare agents over scenarios: see ``python eval.py --help`` (also installed as splitgym-eval)."""

from splitgym.experiments.eval_command import main

if __name__ == "__main__":
    raise SystemExit(main())
