"""The crop kernel: its source, its compiled code, and how it is compiled; CUDA through pycuda."""
