"""What runs on the GPU: TensorRT engines for parts of a network, and CUDA kernels, each with a NumPy twin."""
