"""Training that is spread over devices: cut, pipelined, hybrid and compressed, each provably one process's training."""
