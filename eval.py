"""Compare agents over scenarios: see ``python eval.py --help`` (also installed as splitgym-eval)."""

from splitgym.agents.evaluation import main

if __name__ == "__main__":
    raise SystemExit(main())
