"""The modules of Numba and llvmlite that kernels use. They are imported here without interruption by signals."""

from fastlin.environment.interruption import import_uninterrupted, run_uninterrupted

llvmlite, binding, ir = import_uninterrupted("llvmlite", "llvmlite.binding", "llvmlite.ir")
numba, extending, arrayobj = import_uninterrupted("numba", "numba.extending", "numba.np.arrayobj")
cgutils, codegen, compiler, compiler_lock, config, dispatcher = import_uninterrupted(
    "numba.core.cgutils",
    "numba.core.codegen",
    "numba.core.compiler",
    "numba.core.compiler_lock",
    "numba.core.config",
    "numba.core.dispatcher",
)
imputils, registry, runtime, serialize, types = import_uninterrupted(
    "numba.core.imputils", "numba.core.registry", "numba.core.runtime", "numba.core.serialize", "numba.core.types"
)
# Numba creates the target context and LLVM's execution engine at the first access.
target_context = run_uninterrupted(lambda: registry.cpu_target.target_context)
