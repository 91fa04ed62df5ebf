"""Settings that programs make here before compiling. They may be set, and nothing reads them."""

suppress_errors = False
verbose = False
cache_size_limit = 8
recompile_limit = 8
capture_scalar_outputs = False
assume_static_by_default = True
automatic_dynamic_shapes = True
optimize_ddp = True
