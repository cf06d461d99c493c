"""What kernels know of the processor: compilation, threads, vectors, memory ahead, tiles and their products."""
