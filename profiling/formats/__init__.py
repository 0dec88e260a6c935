"""Other tools' profiles as tables: trtexec, PipeDream, plain CSV."""
